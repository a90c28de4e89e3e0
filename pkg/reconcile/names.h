/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Names that policies have (`fqdn`): each pattern has an id, by which the kernel knows it.
 * The ids stand in the pinned map "patterns", so that they are the same after a restart and
 * what was learned under them stays true; an id is never given to another pattern. What
 * addresses a name has is none of the daemon's business: slu_to_pod reads the answers that
 * pods get and learns from them before the pod can.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "bpf/maps.h"

struct names;
struct doc_config;

/* The pattern that stands under this key, in its place `exact` or `below`. */
char *names_text(const struct slu_name *key, bool below);

/* Reads what the kernel knows. */
int names_load(struct bpf_pins *pins, struct names **ret, struct err *e);
void names_free(struct names *n);
DEFINE_CLEANUP(struct names *, names_free);

/*
 * ids[i] is that of patterns[i] (compiled_names: canonical); the kernel knows all of them on
 * return. Before the policies that have them. Where there are too many, those that are known and
 * as many others as fit have one; the rest 0.
 */
int names_apply(struct names *n, struct bpf_pins *pins, const char *const *patterns, size_t count,
		uint32_t *ids, struct err *e);
/* What people should hear: names without resolvers, no room for more. Said when it begins. */
typedef const char *names_tenant_fn(void *data, uint32_t tenant); /* its namespace, or NULL */
void names_warn(struct names *n, struct bpf_pins *pins, const struct doc_config *conf,
		names_tenant_fn *tenant_name, void *data);
/*
 * Forgets patterns that the last apply did not have, and that no policy in the kernel has:
 * used, sorted, are ids that some do.
 */
int names_retire(struct names *n, struct bpf_pins *pins, const uint32_t *used, size_t n_used,
		 struct err *e);
