/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The compiled subjects as one block of bytes: what the daemon resolves pods with
 * in memory is, byte for byte, the snapshot it leaves on disk and the plugin maps
 * read-only. Position-independent (offsets only), bounds checked on every access,
 * little work per look-up: policies are indexed by (namespace, key, value) of one
 * label they require, so that 10,000 policies cost a pod no more than 10.
 *
 * It holds: generation, fingerprint of the policy folder, mark mask, the policies'
 * subjects, Namespace labels, Pod objects (namespace/name → labels, uid), exempt
 * namespaces, and the bindings whose programs are in the kernel (key → policy id).
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"
#include "policy/compile.h"

struct image_program {
	uint64_t key;	 /* binding.key */
	uint32_t policy; /* id in the kernel, >= 1 */
};

struct image_info {
	uint64_t generation;  /* counts up with each publication */
	uint64_t fingerprint; /* of the folder it was compiled from; 0 = from an API */
	uint64_t digest;      /* compiled_digest */
	uint32_t mark_mask;
	/* Namespaces whose pods' source addresses are not checked; and which then get no identity.
	 */
	const char *const *source_exempt;
	size_t n_source_exempt;
};

/* A borrowed view; valid as long as the bytes are. */
struct image {
	const uint8_t *data;
	size_t len;
	bool from_api; /* what a pod's object does not say is not known: no folder said it all */
};

/* *ret_data is malloc'd. Same inputs, same bytes. */
int image_build(const struct compiled *c, const struct image_info *info,
		const struct image_program *programs, size_t n, uint8_t **ret_data,
		size_t *ret_len);
/*
 * The same bytes as a list of pieces, the largest of which is borrowed from c: who only writes them
 * to a file need not hold a large image twice. Valid as long as c is.
 */
#define IMAGE_PIECES 3
struct image_pieces {
	struct iovec list[IMAGE_PIECES];
	void *own;
};
void image_pieces_build(const struct compiled *c, const struct image_info *info,
			const struct image_program *programs, size_t n, struct image_pieces *ret);
void image_pieces_done(struct image_pieces *p);
/* The subjects of c alone, what policy_resolve reads: image_build adds the rest to them. */
void image_build_subjects(const struct compiled *c, uint8_t **ret_data, size_t *ret_len);
/* A view of c's own subjects, valid as long as c is. */
struct image image_of(const struct compiled *c, bool from_api);
/* Checks magic, version, length, section bounds. -EINVAL, -EPROTO for another version. */
int image_open(struct image *img, const void *data, size_t len, struct err *e);
/* Changes the generation, and the checksum with it, of bytes that image_open accepts. */
void image_set_generation(void *data, size_t len, uint64_t generation);
void image_info_get(const struct image *img, struct image_info *ret); /* without source_exempt */

enum image_answer_kind {
	IMAGE_FREE = 0,	  /* no policy selects the pod: policy id 0 */
	IMAGE_POLICY,	  /* policy id in answer->policy */
	IMAGE_NO_PROGRAM, /* selected, but that combination is not in the kernel yet: ask for a
			     compile */
	IMAGE_UNDECIDED,  /* labels unknown, and they would matter */
};

struct image_answer {
	enum image_answer_kind kind;
	uint32_t policy;
	uint32_t spread;
	uint32_t flags; /* SLU_POD_NO_SOURCE_CHECK by namespace */
	uint32_t n_policies;
	uint64_t key;
	uint32_t policies[64]; /* the first 64, in list order */
	/*
	 * The same with the policies in mode Audit (policy_resolve_audit); key 0: none of them
	 * selects the pod, or that cannot be known. audit_policy 0 with a key: not in the kernel
	 * yet. kind does not depend on it: nothing waits for what is only counted.
	 */
	uint64_t audit_key;
	uint32_t audit_policy;
};

/* Labels of the Pod object namespace/name (caller: labels_done). 0, or -ENOENT without object. */
int image_pod_labels(const struct image *img, const char *namespace, const char *name,
		     struct labels *ret);
int image_resolve(const struct image *img, const struct pod_info *pod, struct image_answer *ret);
