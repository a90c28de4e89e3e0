/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Between the nft_*.c files only. The kernel's table and the model's are both
 * brought into one form, a struct nft_picture, and everything else (equal? which
 * batch makes it so?) is a comparison of two pictures.
 *
 *	nft.c		socket, batches, dumps; observe, apply, delete, counters
 *	nft_ruleset.c	the static part: chains and rules as data
 *	nft_rules.c	of it pictures and messages
 *	nft_steps.c	what a rule is made of; nft_expr.c: in nftables expressions
 *	nft_limits.c	what one pod may hold of an address: chains by number
 *	nft_sets.c	sets: what they hold by the model, differences, messages
 *	nft_observe.c	the kernel's picture; nft_parse.c: what it says, attribute by attribute
 *	nft_known.c	when it need not be taken
 *	nft_foreign.c	other people's forward policies; events
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h> /* before the kernel's own */
#include <netinet/in.h>

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "bpf/abi.h"
#include "bpf/drop_reasons.h"
#include "kernel/nft.h"

/* ---- nft_foreign.c ---- */

/* The file names its tables: is "filter" among them? Asking legacy iptables itself would make it.
 */
bool nft_legacy_has_filter(const char *path);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

#define NFT_TABLE     "sluice"
#define NFT_NODE_NAME "node-" /* + index: one chain per node */

DEFINE_CLEANUP(struct nftnl_table *, nftnl_table_free);
DEFINE_CLEANUP(struct nftnl_chain *, nftnl_chain_free);
DEFINE_CLEANUP(struct nftnl_rule *, nftnl_rule_free);
DEFINE_CLEANUP(struct nftnl_set *, nftnl_set_free);
DEFINE_CLEANUP(struct nftnl_obj *, nftnl_obj_free);

struct nft {
	struct mnl_socket *sock;
	uint32_t portid;
	uint32_t seq;
	uint64_t equal_to; /* digest of a model, 0 = none */
	uint32_t equal_at; /* the generation at which the kernel had it */
	unsigned int built;
};

/* ---- nft_known.c ---- */

/* It was so when somebody looked, and there has been no transaction since. */
bool nft_known_equal(struct nft *n, const struct nft_model *m);
void nft_known_set(struct nft *n, const struct nft_model *m, uint32_t generation);

/* The parts of the mark, see bpf/abi.h. */
struct nft_marks {
	uint32_t mask, divert, id;
	uint32_t high; /* the bits of ids >= SLU_ID_FIRST */
	unsigned int shift;
};

static inline struct nft_marks nft_marks_of(uint32_t mask)
{
	struct nft_marks m = {.mask = mask};

	m.shift = (unsigned int)__builtin_ctz(mask);
	m.divert = 1u << (31 - __builtin_clz(mask));
	m.id = mask & ~m.divert;
	m.high = m.id & ~((SLU_ID_FIRST - 1u) << m.shift);
	return m;
}

/* ---- pictures ---- */

enum nft_set_index {
	NFT_SET_INSIDE4,
	NFT_SET_INSIDE6,
	NFT_SET_ENDS4,
	NFT_SET_ENDS6,
	NFT_SET_GUARDED4,
	NFT_SET_GUARDED6,
	NFT_SET_GOVERNED4,
	NFT_SET_GOVERNED6,
	NFT_SET_OWNED4,
	NFT_SET_OWNED6,
	NFT_SET_SERVICES4,
	NFT_SET_SERVICES6,
	NFT_SET_SNAT4,
	NFT_SET_SNAT6,
	NFT_SET_FULL4,
	NFT_SET_FULL6,
	NFT_SET_HELD4,
	NFT_SET_HELD6,
	NFT_SET_USED4,
	NFT_SET_USED6,
	NFT_SET_PORTS4,
	NFT_SET_PORTS6,
	NFT_SET_ROOMS4,
	NFT_SET_ROOMS6,
	NFT_SET_CONNS,
	NFT_SET_PORT_LIMITS,
	NFT_SET_NODES_IN,
	NFT_SET_NODES_OUT,
	NFT_SET_REASONS,
	NFT_SET_NODES,
	NFT_SET_N,
};

enum nft_elem_kind {
	NFT_ELEM_PLAIN,
	NFT_ELEM_INTERVAL, /* from key to before data */
	NFT_ELEM_OPEN,	   /* from key to the end of the family */
	NFT_ELEM_LONE_END, /* an end without a beginning: not ours */
	NFT_ELEM_CATCHALL, /* matches everything: not ours */
};

/* Compared as bytes, so always zeroed first; ordered by key. */
struct nft_elem {
	uint8_t key[44];
	uint8_t kind;
	uint8_t odd; /* carries something that ours never do (a timeout, an expression): not equal
		      */
	uint8_t pad[2];
	uint8_t data[16];
	int32_t verdict;
	char name[24]; /* chain or counter */
};
_Static_assert(sizeof(struct nft_elem) == 92, "no hidden padding");

struct nft_elems {
	struct nft_elem *v;
	size_t n;
};

/* A chain with its rules, a set's declaration, a counter, the table's flags: name and everything
 * that matters as bytes. */
struct nft_entry {
	char *name;
	uint8_t *bytes;
	size_t len;
};

struct nft_picture {
	struct nft_entry *entries; /* sorted by name when complete */
	size_t n;
	struct nft_elems elems[NFT_SET_N];
	bool exists;	     /* the table */
	uint32_t generation; /* the kernel's: counts transactions, everybody's */
	bool counted[SLU_REASON_MAX];
	struct nft_count counts[SLU_REASON_MAX];
};

void nft_picture_done(struct nft_picture *p);
#define __cleanup_picture __cleanup(nft_picture_done)
/* Finds or makes the entry of this name; only while the picture is being made, unsorted. */
struct nft_entry *nft_picture_entry(struct nft_picture *p, const char *kind, const char *name);
void nft_entry_add(struct nft_entry *entry, const void *bytes, size_t len);
void nft_entry_add_rule(struct nft_entry *entry, struct nftnl_rule *r);
void nft_entry_add_chain(struct nft_entry *entry, const struct nftnl_chain *c);
void nft_entry_add_set(struct nft_entry *entry, struct nftnl_set *s);
struct nft_elem *nft_elems_grow(struct nft_elems *l); /* a zeroed new last one */
void nft_elems_sort(struct nft_elems *l);	      /* and makes unique */

/* What the model wants. */
int nft_picture_of(struct nft_picture *ret, uint8_t family, const struct nft_model *m,
		   struct err *e);
int nft_generation(struct nft *n, uint32_t *ret);
/* What the kernel has; retries torn dumps. */
int nft_picture_load(struct nft *n, uint16_t family, struct nft_picture *ret, struct err *e);

/* ---- batches ---- */

struct nft_batch {
	uint8_t *buf;
	size_t len, cap;
	uint32_t seq;
	size_t last; /* where the last message begins */
	uint8_t family;
};

static inline void nft_batch_done(struct nft_batch *b)
{
	free(b->buf);
}
#define __cleanup_batch __cleanup(nft_batch_done)

/* Header of one message; the payload (64 KiB at most) is put behind it, then nft_batch_close. */
struct nlmsghdr *nft_batch_open(struct nft_batch *b, uint16_t type, uint16_t flags);
void nft_batch_close(struct nft_batch *b);

/* ---- requests ---- */

/* A fresh message of the nftables subsystem in buf. */
struct nlmsghdr *nft_request_put(struct nft *n, void *buf, uint16_t type, uint16_t family,
				 uint16_t flags);
/* Sends and runs cb over every answer. -EINTR when a dump was torn. */
int nft_request(struct nft *n, struct nlmsghdr *nlh, mnl_cb_t cb, void *data);

/* ---- static part ---- */

void nft_rules_picture(struct nft_picture *p, const struct nft_model *m);
void nft_rules_put_objects(struct nft_batch *b, const struct nft_count *counts);
void nft_rules_put_chains(struct nft_batch *b);
void nft_rules_put_rules(struct nft_batch *b, const struct nft_model *m);
void nft_rules_put_node(struct nft_batch *b, const struct nft_model *m, uint32_t node);
void nft_rules_put_empty(struct nft_batch *b, const char *name); /* a chain, or without rules */
void nft_rules_put_chain_del(struct nft_batch *b, const char *name);
void nft_node_name(char *buf, size_t len, uint32_t node);

/* ---- limits ---- */

void nft_limits_picture(struct nft_picture *p, const struct nft_model *m); /* elements too */
bool nft_limits_is_chain(const char *name);
void nft_limits_put_chain(struct nft_batch *b, const struct nft_model *m, const char *name);

/* The one chain of table "bridge sluice". */
void nft_bridge_picture(struct nft_picture *p, const struct nft_model *m);
void nft_bridge_put(struct nft_batch *b, const struct nft_model *m, const struct nft_count *counts);

/* ---- nft_services.c: address . port . protocol . address . port, from what to what ---- */

/* nft(8)'s number of such a type: six bits for each part, 13 inet_service, 12 inet_proto */
#define NFT_SERVICE_TYPE(addr) ((((((addr) << 6 | 13) << 6 | 12) << 6 | (addr)) << 6) | 13)
enum nft_set_index nft_service_set(const struct nft_service *s);
void nft_service_key(const struct nft_service *s, uint8_t *key); /* zeroed, of 44 bytes */
void nft_service_fields(struct nftnl_set *set, enum nft_set_index i);

/* nft.c: one transaction */
void nft_batch_begin(struct nft *n, struct nft_batch *b, uint8_t family);
int nft_batch_send(struct nft *n, struct nft_batch *b, struct err *e);

/* ---- sets ---- */

void nft_sets_picture(struct nft_picture *p, const struct nft_model *m);
void nft_sets_put(struct nft_batch *b);
/* Elements of `have` that are not in `want` go, and the other way round; dels first. */
void nft_sets_put_dels(struct nft_batch *b, const struct nft_picture *have,
		       const struct nft_picture *want);
void nft_sets_put_adds(struct nft_batch *b, const struct nft_picture *have,
		       const struct nft_picture *want);
bool nft_sets_equal(const struct nft_picture *a, const struct nft_picture *b);
const char *nft_set_name(enum nft_set_index i);
struct nftnl_set *nft_set_build(enum nft_set_index i); /* its declaration */
/* What the kernel says (nft_elems_parse) has each interval as two elements. */
void nft_elems_pair(struct nft_elems *l);
bool nft_set_is_interval(enum nft_set_index i);
bool nft_set_is_dynamic(enum nft_set_index i); /* packets fill it: nobody looks what is in it */
