/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The static part of our tables as data (nft_ruleset.c); nft_rules.c makes pictures
 * and messages of it. A rule is a row of steps, each one match or one act, so that
 * the rows read like the ruleset: a few dozen, plus one small chain per node.
 */
#include "kernel/nft_steps.h"

struct chain_def {
	const char *name;
	const char *type; /* NULL: reached by goto only */
	uint32_t hook;
	int32_t prio;
};

#define MAX_STEPS 8

struct rule_def {
	const char *chain;
	const char *why; /* shown by `nft list` */
	struct step steps[MAX_STEPS];
};

struct ruleset {
	const struct chain_def *chains;
	size_t n_chains;
	const struct rule_def *rules;
	size_t n_rules;
};

extern const struct ruleset nft_ruleset;	/* table inet */
extern const struct ruleset nft_ruleset_bridge; /* table bridge; its one chain has all rules */
extern const struct ruleset nft_ruleset_node;	/* of each node's chain; no chains */
