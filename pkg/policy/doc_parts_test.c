/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/cleanup.h"
#include "policy/doc_fixture.h"

/* Whoever goes last takes a part's objects along: a sanitizer would see one too many, or too few.
 */
static void sets_share_their_parts(void **state)
{
	static const char gateway[] = GATEWAY "{addressFrom: {interface: a}}}";
	static const char policy[] = POLICY "{subject: {podSelector: {}}}}";
	static const char cluster[] = CLUSTER "{subject: {podSelector: {}}}}";
	struct doc_set *parts[] = {doc_set_new(), doc_set_new(), doc_set_new()};
	struct doc_set *one = doc_set_new(), *two = doc_set_new();
	struct err e = {0};

	assert_int_equal(doc_set_add_text(parts[0], "a.yaml", policy, strlen(policy), &e), 0);
	assert_int_equal(doc_set_add_text(parts[0], "a.yaml", gateway, strlen(gateway), &e), 0);
	assert_int_equal(doc_set_add_text(parts[1], "b.yaml", cluster, strlen(cluster), &e), 0);
	for (int i = 0; i < 3; i++)
		doc_set_add_part(one, parts[i]);
	assert_int_equal(doc_set_finish(one, &e), 0);
	doc_set_add_part(two, parts[1]);
	assert_int_equal(doc_set_finish(two, &e), 0);
	for (int i = 0; i < 3; i++)
		doc_set_free(parts[i]);
	assert_int_equal(one->n_policies, 2);
	assert_int_equal(one->n_gateways, 1);
	assert_string_equal(doc_src_file(&one->policies[0]->meta.src), "b.yaml");
	assert_ptr_equal(one->policies[0]->meta.name, two->policies[0]->meta.name);
	doc_set_free(one);
	assert_int_equal(two->n_policies, 1);
	assert_string_equal(two->policies[0]->meta.name, "x");
	doc_set_free(two);
}

static void an_object_of_two_parts_is_given_twice(void **state)
{
	static const char text[] = SUBJECT "{podSelector: {}}}}";
	__cleanup_doc_set struct doc_set *a = doc_set_new(), *b = doc_set_new();
	__cleanup_doc_set struct doc_set *set = doc_set_new();
	struct err e = {0};

	assert_int_equal(doc_set_add_text(a, "a.yaml", text, strlen(text), &e), 0);
	assert_int_equal(doc_set_add_text(b, "b.yaml", text, strlen(text), &e), 0);
	doc_set_add_part(set, b);
	doc_set_add_part(set, a);
	assert_int_equal(doc_set_finish(set, &e), -EEXIST);
	assert_string_equal(
		e.msg, "b.yaml:1: metadata.name: EgressPolicy default/x given already in a.yaml:1");
}

static void a_text_falls_into_the_documents_it_has(void **state)
{
	static const struct {
		const char *file, *text;
		size_t n, len[4];
		int before[4];
	} rows[] = {
		{"a.yaml", "", 1, {0}, {0}},
		{"a.yaml", "a: 1\n", 1, {5}, {0}},
		{"a.yaml", "---\na: 1\n---\nb: 2\n", 2, {9, 9}, {0, 2}},
		{"a.yaml", "# of all\n\n---\na: 1\n", 2, {10, 9}, {0, 2}},
		{"a.yaml", "--- {a: 1}\n---\tb\n--- # c\n---", 4, {11, 6, 8, 3}, {0, 1, 2, 3}},
		{"a.yaml", "----\n ---\n--- a\n---b\n", 2, {10, 11}, {0, 2}},
		{"a.yaml", "a: |\n  x\n---\n  y\n", 2, {9, 8}, {0, 2}},
		/* what says something of what comes later, or ends lines in its own way */
		{"a.yaml", "a: 1\n...\n%YAML 1.1\n---\nb: 2\n", 1, {28}, {0}},
		{"a.yaml", "%YAML 1.1\n---\nb: 2\n", 1, {19}, {0}},
		{"a.yaml", "a: 1\r\n---\r\nb: 2\r\n", 1, {17}, {0}},
		{"a.yaml", "a: \xc2\x85\n---\nb: 2\n", 1, {15}, {0}},
		{"a.json", "{}\n---\n{}\n", 1, {10}, {0}},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = strlen(rows[i].text), at = 0;
		struct doc_piece *pieces;

		assert_int_equal(doc_text_pieces(rows[i].file, rows[i].text, len, &pieces),
				 rows[i].n);
		for (size_t k = 0; k < rows[i].n; k++) {
			assert_ptr_equal(pieces[k].text, rows[i].text + at);
			assert_int_equal(pieces[k].len, rows[i].len[k]);
			assert_int_equal(pieces[k].before, rows[i].before[k]);
			at += pieces[k].len;
		}
		assert_int_equal(at, len);
		free(pieces);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_share_their_parts),
		cmocka_unit_test(an_object_of_two_parts_is_given_twice),
		cmocka_unit_test(a_text_falls_into_the_documents_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
