/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the doc_*.c files share: an object is described by a table of fields, and
 * one walk over the members of the tree does the rest, so that an unknown field
 * or one of a later version cannot slip through anywhere.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json/json.h"
#include "policy/doc.h"

#define DOC_MAX_SELECTOR 256 /* requirements, and values of one */
#define DOC_MAX_LABELS	 1024
#define DOC_MAX_LIST	 4096 /* lists without a bound of their own */
#define DOC_MAX_STRING	 (256u << 10)

struct doc_ctx {
	struct doc_set *set;
	const struct doc_file *file; /* owned by set */
	struct err *e;		     /* never NULL */
	enum doc_kind kind;	     /* of the object under way */
};

/* ---- doc.c: the table of kinds ---- */
struct doc_kind_info {
	const char *name, *api_version;
	const struct field *fields;
	void (*done)(void *);
	size_t size;	 /* of an element of the array */
	size_t apart;	 /* 0, or: elements are pointers to objects of this size */
	size_t items, n; /* where array and count are in struct doc_set; two kinds may share one */
};
#define DOC_KINDS (DOC_ENDPOINT_SLICE + 1)
extern const struct doc_kind_info doc_kinds[DOC_KINDS];

/* The array of a kind, by value: array pointers have different types, so they are copied. */
struct doc_array {
	char *items;
	size_t n;
};
struct doc_array doc_array_get(const struct doc_set *set, const struct doc_kind_info *k);
void doc_array_put(struct doc_set *set, const struct doc_kind_info *k, struct doc_array a);
/* Each object begins with its doc_meta. */
struct doc_meta *doc_array_at(struct doc_array a, const struct doc_kind_info *k, size_t i);
/* An object of another owner, at the end. */
void doc_array_lend(struct doc_set *set, const struct doc_kind_info *k,
		    const struct doc_meta *object);

enum field_use {
	FIELD_OPTIONAL,
	FIELD_REQUIRED,
	FIELD_LATER,   /* fixed in the API, refused by this version */
	FIELD_IGNORED, /* what Kubernetes writes and we do not read */
};

/* parse_fn turns a tree into (a part of) out. 0 or -EINVAL with "file:line: path: …". */
typedef int parse_fn(const struct doc_ctx *c, const struct json *j, void *out);

/*
 * The members of an object. sub, when set, is walked first, with the same out;
 * then parse runs. A table ends with name NULL: FIELD_IGNORED there tolerates
 * unknown members, anything else refuses them.
 */
struct field {
	const char *name;
	parse_fn *parse;
	const struct field *sub;
	enum field_use use;
};

#define FIELDS_END           \
	{                    \
		.name = NULL \
	}
#define FIELDS_OPEN_END                            \
	{                                          \
		.name = NULL, .use = FIELD_IGNORED \
	}
/* The whole table of an object of ours: the fields of its spec, and what runs behind them. */
#define OBJECT_FIELDS(fields, check)                                                        \
	{.name = "apiVersion"}, {.name = "kind"},                                           \
		{.name = "metadata", .parse = doc_meta_parse, .use = FIELD_REQUIRED},       \
		{.name = "spec", .sub = (fields), .parse = (check), .use = FIELD_REQUIRED}, \
		{.name = "status", .use = FIELD_IGNORED}, FIELDS_END

/* A word of a list; value CHOICE_LATER is one this version refuses. Ends with name NULL. */
struct choice {
	const char *name;
	int value;
};
#define CHOICE_LATER (-1)

/* ---- doc_fields.c ---- */
/* Keeps a mistake where all are asked for, and returns its code. */
int doc_tell(const struct doc_set *set, const struct err *e);
/* Whether to read on after r: behind a mistake only where all are asked for. */
bool doc_goes_on(const struct doc_set *set, int r);
int doc_fail(const struct doc_ctx *c, const struct json *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int doc_fields(const struct doc_ctx *c, const struct json *j, const struct field *fields,
	       void *out);
/* A list of 1..max items, each given to item with the same out. */
int doc_list(const struct doc_ctx *c, const struct json *j, size_t max, parse_fn *item, void *out);
/* The same of Kubernetes' own lists, which may be given and empty, or null. */
int doc_core_list(const struct doc_ctx *c, const struct json *j, parse_fn *item, void *out);
/* Exactly one of the NULL-terminated names is a member of j. */
int doc_union(const struct doc_ctx *c, const struct json *j, const char *const *names);
int doc_string(const struct doc_ctx *c, const struct json *j, size_t max, const char **ret);
int doc_int(const struct doc_ctx *c, const struct json *j, int64_t max, int64_t *ret); /* 0..max */
int doc_choice(const struct doc_ctx *c, const struct json *j, const struct choice *choices,
	       int *ret);
int doc_bool(const struct doc_ctx *c, const struct json *j, bool *ret);
/* "1m30s" in ms; unit_ms: the smallest unit that may be said, 1 or 1000. doc_duration.c */
int doc_duration(const struct doc_ctx *c, const struct json *j, uint32_t unit_ms, uint32_t *ret);
int doc_cidr(const struct doc_ctx *c, const struct json *j, struct cidr *ret);
int doc_addr(const struct doc_ctx *c, const struct json *j, struct addr *ret);
/* Strings that are put into *ret (owned): */
int doc_subdomain(const struct doc_ctx *c, const struct json *j, char **ret); /* DNS-1123 */
int doc_dns_label(const struct doc_ctx *c, const struct json *j, char **ret);
int doc_fqdn(const struct doc_ctx *c, const struct json *j, char **ret); /* doc_to.c */
int doc_interface(const struct doc_ctx *c, const struct json *j, char **ret);
struct doc_src doc_src_of(const struct doc_ctx *c, const struct json *j);

/* ---- doc_meta.c; out is any doc_* struct: each begins with its doc_meta ---- */
int doc_meta_parse(const struct doc_ctx *c, const struct json *j, void *out);
int doc_core_meta_parse(const struct doc_ctx *c, const struct json *j, void *out);
void doc_meta_done(struct doc_meta *m);

/* ---- selector.c: RFC 1123 names in s[0..n), as Kubernetes wants them (lower case) ---- */
bool is_dns_label(const char *s, size_t n);
bool is_dns_subdomain(const char *s, size_t n); /* labels of any length, 253 in all */

/* ---- doc_selector.c; out is a struct selector ---- */
int doc_selector(const struct doc_ctx *c, const struct json *j, struct selector *out);
int doc_match_labels(const struct doc_ctx *c, const struct json *j, void *out);
void selector_done(struct selector *s);

/* ---- kinds ---- */
extern const struct field doc_gateway_fields[], doc_policy_fields[], doc_cluster_policy_fields[],
	doc_config_fields[], doc_node_fields[], doc_namespace_fields[], doc_pod_fields[],
	doc_destination_fields[], doc_service_fields[], doc_slice_fields[];
void doc_gateway_done(void *gateway);
void doc_policy_done(void *policy);
void doc_config_done(void *config);
void doc_node_done(void *node);
void doc_namespace_done(void *ns);
void doc_pod_done(void *pod);
void doc_destination_done(void *destination);
void doc_service_done(void *service);
void doc_slice_done(void *slice);

/* doc_rule.c */
int doc_rule_parse(const struct doc_ctx *c, const struct json *j, struct doc_rule *rule);
int doc_action_parse(const struct doc_ctx *c, const struct json *j, enum rule_action *ret);
int doc_via_parse(const struct doc_ctx *c, const struct json *j, struct doc_via *via);
void doc_rule_done(struct doc_rule *rule);
void doc_via_done(struct doc_via *via);

/* doc_to.c, doc_ports.c: *ret is malloc'd, sorted, disjoint; doc_schedule.c */
int doc_to_parse(const struct doc_ctx *c, const struct json *j, struct doc_to *to);
void doc_to_done(struct doc_to *to);
int doc_ports_parse(const struct doc_ctx *c, const struct json *j, struct l4_range **ret,
		    size_t *ret_n);
int doc_schedule_parse(const struct doc_ctx *c, const struct json *j, struct doc_schedule **ret);
void doc_schedule_free(struct doc_schedule *s);
void doc_zones_done(struct doc_set *set);

/* doc_finish.c, on the sorted set */
int doc_check_overlaps(const struct doc_set *set, struct err *e);
int doc_check_vias(const struct doc_set *set, struct err *e);
int doc_check_policy_vias(const struct doc_set *set, const struct doc_policy *policy,
			  struct err *e);
