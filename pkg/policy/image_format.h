/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The bytes of an image: a header, then sections of fixed-size records that refer
 * to each other by index and to strings by offset. Written and read on one machine
 * (byte order is the host's), yet never trusted: a reader copies each record out
 * after checking where it lies.
 */
#include <stdbool.h>
#include <stdint.h>

#include "policy/image.h"

#define IMAGE_MAGIC   "SLUICEIM"
#define IMAGE_VERSION 3

enum image_section {
	/* of the compiled policies: the same bytes in every publication */
	IMAGE_STRINGS,	  /* bytes, each string ends in NUL, and so does the section */
	IMAGE_VALUES,	  /* uint32_t string, values of requirements */
	IMAGE_REQS,	  /* struct image_req */
	IMAGE_SELECTORS,  /* struct image_span of requirements: one selector each */
	IMAGE_POLICIES,	  /* struct image_policy, in list order */
	IMAGE_BUCKETS,	  /* struct image_bucket, sorted by hash */
	IMAGE_MEMBERS,	  /* uint32_t policy, members of buckets */
	IMAGE_LABELS,	  /* struct image_label, sorted by key within an object */
	IMAGE_NAMESPACES, /* struct image_namespace, sorted by name */
	IMAGE_PODS,	  /* struct image_pod, sorted by namespace and name */
	/* of one publication */
	IMAGE_PROGRAMS, /* struct image_program_rec, sorted by key */
	IMAGE_EXEMPT,	/* namespaces whose sources are not checked, each ends in NUL, sorted */
	IMAGE_SECTIONS,
};

struct image_place {
	uint32_t offset, count; /* count of records */
};

struct image_header {
	char magic[8];
	uint64_t checksum; /* of everything behind this field */
	uint32_t version;
	uint32_t mark_mask;
	uint64_t len;
	uint64_t generation, fingerprint, digest;
	struct image_place sections[IMAGE_SECTIONS];
};

struct image_span { /* records of another section */
	uint32_t first, n;
};

struct image_req {
	uint32_t key, op;
	struct image_span values;
};

#define IMAGE_POLICY_CLUSTER	(1u << 0)
#define IMAGE_POLICY_NAMESPACES (1u << 1) /* has a namespaceSelector */
#define IMAGE_POLICY_AUDIT	(1u << 2) /* mode: Audit */

struct image_policy {
	uint32_t namespace, name, flags, pad;
	struct image_span pods;	      /* selectors: any of them selects */
	struct image_span namespaces; /* requirements */
	uint64_t digest;
};

struct image_bucket {
	uint64_t hash;
	struct image_span members;
};

struct image_label {
	uint32_t key, value;
};

struct image_namespace {
	uint32_t name;
	struct image_span labels;
};

struct image_pod {
	uint32_t namespace, name;
	struct image_span labels;
};

struct image_program_rec {
	uint64_t key;
	uint32_t policy, pad;
};

_Static_assert(sizeof(struct image_header) == 56 + 8 * IMAGE_SECTIONS, "image");
_Static_assert(sizeof(struct image_req) == 16, "image");
_Static_assert(sizeof(struct image_policy) == 40, "image");
_Static_assert(sizeof(struct image_bucket) == 16, "image");
_Static_assert(sizeof(struct image_namespace) == 12, "image");
_Static_assert(sizeof(struct image_pod) == 16, "image");
_Static_assert(sizeof(struct image_program_rec) == 16, "image");

extern const uint32_t image_record_size[IMAGE_SECTIONS];

uint64_t image_checksum(const void *data, size_t len);

/*
 * Buckets: a policy lies, for each selector of its pods, under a condition that one needs.
 * POD: a label pair of the pod, in one namespace or ("") in any; pair ("", "") is
 * for policies that need none. NAMESPACE: a label pair of the namespace.
 */
enum image_bucket_kind { BUCKET_POD = 1, BUCKET_NAMESPACE = 2 };

uint64_t image_bucket_hash(enum image_bucket_kind kind, const char *namespace, const char *key,
			   const char *value);

/*
 * Which policies select the pod. enforced leaves out those in mode Audit; audit has all of
 * them, and is empty when none of them is in that mode. 0 or -EINVAL; *ret is then to be
 * given to image_bindings_done.
 */
struct image_bindings {
	struct binding enforced, audit;
	bool undecided; /* which ones it is cannot be known: enforced is empty */
	bool audit_undecided;
};

int image_match(const struct image *img, const struct pod_info *pod, struct image_bindings *ret);
void image_bindings_done(struct image_bindings *b);
