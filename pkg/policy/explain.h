/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Why a pod's packet goes where it goes: every rule that could have spoken, in
 * evaluation order, with what became of it, and the answer of the program that the
 * kernel runs. The walk that names the rules is the definition itself, the answer
 * comes from policy_flatten; tests hold the two together.
 */
#include "base/cleanup.h"
#include "bpf/drop_reasons.h"
#include "policy/compile.h"

/* What the destination is, before any rule is asked. */
enum explain_scope {
	EXPLAIN_OUTSIDE,    /* governed */
	EXPLAIN_LINK_LOCAL, /* gets a verdict, never an identity */
	EXPLAIN_INSIDE,	    /* cluster, node or own address: never touched */
	EXPLAIN_RESOLVER,   /* port 53 of dns.resolvers: never touched */
	EXPLAIN_UNTOUCHED,  /* multicast, broadcast, loopback */
};

enum explain_match {
	EXPLAIN_MATCHES,
	EXPLAIN_OTHER_DESTINATION, /* no item of `to` holds it */
	EXPLAIN_EXCEPTED,	   /* one does, but an exception takes it out */
	EXPLAIN_OTHER_PORT,
	EXPLAIN_OTHER_TIME, /* outside its schedule: the rule is absent */
	EXPLAIN_MISSING,    /* no item holds it, and a destination that one names is not there */
};

/* What became of a matching rule in the search for the verdict, and for the identity. */
enum explain_role {
	EXPLAIN_NOT_ASKED, /* does not match, or has no action (no via) */
	EXPLAIN_WINS,
	EXPLAIN_TOO_LATE,    /* an earlier rule had won */
	EXPLAIN_PASSES,	     /* verdict: ends its step */
	EXPLAIN_PASSED_OVER, /* verdict: behind a Pass of the same step */
};

struct explain_line {
	const struct flat_rule *rule;
	enum explain_match match;
	char *through; /* a destination's or a name's item matched: which; NULL: another one */
	enum explain_role verdict, identity;
};

struct explain_query {
	struct pod_info pod;
	struct addr dst;
	uint32_t l4_key;
	bool source_exempt;    /* the namespace is exempt from the source check: no identity */
	bool audit;	       /* as if the policies in mode Audit were enforced */
	const uint32_t *names; /* compiled_names that dst is known under */
	size_t n_names;
};

struct explain {
	enum explain_scope scope;
	struct cidr inside; /* EXPLAIN_INSIDE: the prefix that says so */
	/* It leads outside: all else is said of its first endpoint; SLU_DROP_SERVICE_OUTSIDE when
	 * another one would be decided on otherwise. NULL: none. */
	const struct compiled_service *service;
	bool undecided; /* the pod's labels are not known and would matter: quarantine */
	struct binding binding;
	struct explain_line *lines; /* empty unless a rule is asked */
	size_t n_lines;
	struct flat_rule **absent; /* stand-ins for the rules outside their schedule */
	size_t n_absent;
	uint8_t verdict;	   /* enum verdict */
	bool suspended;		   /* it would be dropped, but SluiceConfig's audit lets it go */
	uint8_t reason;		   /* enum slu_reason: why it is dropped; SLU_OK = it leaves */
	const struct identity *id; /* what the winning via stands for; NULL = as the node */
	const struct egress_addr
		*addr; /* what the outside sees; NULL = as the node, or dropped, or */
	bool by_flow;  /* one of several of id, by connection (spread Connection) */
};

int policy_explain(const struct compiled *c, const struct explain_query *q, struct explain **ret);
void explain_free(struct explain *x);
DEFINE_CLEANUP(struct explain *, explain_free);

/* Of one rule: *ret_through as in explain_line, malloc'd or left as it is. */
enum explain_match explain_match_rule(const struct compiled *c, const struct flat_rule *r,
				      const struct explain_query *q, char **ret_through);

const char *explain_scope_text(enum explain_scope scope);
/* "wins", "other destination", "passed over" …: one phrase for each of the two searches. */
const char *explain_verdict_text(const struct explain_line *line);
const char *explain_identity_text(const struct explain_line *line);
/* "EgressPolicy shop/payments rule bank" or "… rules[3]" or "… default"; returns buf. */
const char *flat_rule_name(const struct flat_rule *r, char *buf, size_t size);
struct doc_src flat_rule_src(const struct flat_rule *r);
const char *policy_step_name(uint8_t step);
const char *rule_action_name(enum rule_action action); /* "Allow"; "" for none */
