/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the tests of doc_*.c share. Include after cmocka.h. */
#include "base/mem.h"
#include "policy/doc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

DEFINE_CLEANUP(struct doc_set *, doc_set_free);
#define __cleanup_doc_set __cleanup(doc_set_freep)

/* The head of an object as one line, so that spec stands in line 2. */
#define HEAD(kind)  "{apiVersion: sluice.dev/v1alpha1, kind: " kind ", metadata: {name: x},\nspec: "
#define GATEWAY	    HEAD("EgressGateway")
#define POLICY	    HEAD("EgressPolicy")
#define CLUSTER	    HEAD("ClusterEgressPolicy")
#define DESTINATION HEAD("EgressDestination")
#define CONFIG \
	"{apiVersion: sluice.dev/v1alpha1, kind: SluiceConfig, metadata: {name: default},\nspec: "
#define RULE	POLICY "{subject: {podSelector: {}}, rules: [\n"
#define SUBJECT POLICY "{subject: "
#define META                                                                                 \
	"{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, spec: {addresses: [{range: " \
	"192.0.2.1}]},\n"

struct bad {
	const char *text, *message;
};

static inline void check_bad(const char *file, const struct bad *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		__cleanup_doc_set struct doc_set *set = doc_set_new();
		struct err e = {0};
		int r = doc_set_add_text(set, file, rows[i].text, strlen(rows[i].text), &e);

		if (r == 0)
			r = doc_set_finish(set, &e);
		if (r == 0)
			fail_msg("accepted: %s", rows[i].text);
		assert_string_equal(e.msg, rows[i].message);
		assert_int_equal(e.code, r);
	}
}

static inline struct doc_set *read_set(const char *file, const char *text)
{
	struct doc_set *set = doc_set_new();
	struct err e = {0};

	if (doc_set_add_text(set, file, text, strlen(text), &e) < 0 || doc_set_finish(set, &e) < 0)
		fail_msg("%s", e.msg);
	return set;
}
