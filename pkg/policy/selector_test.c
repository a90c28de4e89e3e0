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
#include "base/mem.h"
#include "policy/doc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void labels_stay_sorted_and_unique(void **state)
{
	static const char *const keys[] = {"m", "a", "z", "m", "b", "a"};
	struct labels l = {0};

	for (size_t i = 0; i < COUNT(keys); i++)
		labels_set(&l, keys[i], i > 2 ? "new" : "old");
	assert_int_equal(l.n, 4);
	for (size_t i = 1; i < l.n; i++)
		assert_true(strcmp(l.items[i - 1].key, l.items[i].key) < 0);
	assert_string_equal(labels_get(&l, "m"), "new");
	assert_string_equal(labels_get(&l, "z"), "old");
	assert_null(labels_get(&l, "y"));
	labels_done(&l);
	assert_null(labels_get(&l, "m"));
}

static void knows_which_labels_kubernetes_allows(void **state)
{
	static const struct {
		const char *text;
		bool key, value;
	} rows[] = {
		{"", false, true},
		{"a", true, true},
		{"A.b_c-9", true, true},
		{"-a", false, false},
		{"a-", false, false},
		{"a b", false, false},
		{"ü", false, false},
		{"sluice.dev/gateway", true, false},
		{"sluice..dev/gateway", false, false},
		{"Sluice.dev/gateway", false, false},
		{"-sluice.dev/gateway", false, false},
		{"/gateway", false, false},
		{"sluice.dev/", false, false},
		{"a/b/c", false, false},
		{"012345678901234567890123456789012345678901234567890123456789012", true, true},
		{"0123456789012345678901234567890123456789012345678901234567890123", false, false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(label_key_check(rows[i].text), rows[i].key ? 0 : -EINVAL);
		assert_int_equal(label_value_check(rows[i].text), rows[i].value ? 0 : -EINVAL);
	}
	assert_int_equal(label_key_check(NULL), -EINVAL);
}

static void selectors_match_as_in_kubernetes(void **state)
{
	static const struct {
		const char *selector;
		bool matches; /* the labels app=web, tier= */
	} rows[] = {
		{"{}", true},
		{"{matchLabels: {}}", true},
		{"{matchLabels: {app: web}}", true},
		{"{matchLabels: {app: db}}", false},
		{"{matchLabels: {tier: ''}}", true},
		{"{matchLabels: {zone: ''}}", false},
		{"{matchLabels: {app: web, zone: a}}", false},
		{"{matchExpressions: [{key: app, operator: In, values: [x, web, a, web]}]}", true},
		{"{matchExpressions: [{key: app, operator: In, values: [x, y]}]}", false},
		{"{matchExpressions: [{key: zone, operator: In, values: [a]}]}", false},
		{"{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", false},
		{"{matchExpressions: [{key: app, operator: NotIn, values: [db]}]}", true},
		{"{matchExpressions: [{key: zone, operator: NotIn, values: [a]}]}", true},
		{"{matchExpressions: [{key: tier, operator: Exists}]}", true},
		{"{matchExpressions: [{key: zone, operator: Exists}]}", false},
		{"{matchExpressions: [{key: tier, operator: DoesNotExist}]}", false},
		{"{matchExpressions: [{key: zone, operator: DoesNotExist}]}", true},
		{"{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: "
		 "DoesNotExist}]}",
		 false},
	};
	struct labels l = {0};

	labels_set(&l, "tier", "");
	labels_set(&l, "app", "web");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct doc_set *set = doc_set_new();
		__cleanup_free char *text = mem_printf("{apiVersion: sluice.dev/v1alpha1, kind: "
						       "EgressPolicy, metadata: {name: x}, "
						       "spec: {subject: {podSelector: %s}}}",
						       rows[i].selector);

		assert_int_equal(doc_set_add_text(set, "a.yaml", text, strlen(text), NULL), 0);
		assert_int_equal(selector_matches(&set->policies[0]->pods, &l), rows[i].matches);
		assert_false(selector_matches(&set->policies[0]->nodes, &l));
		doc_set_free(set);
	}
	labels_done(&l);
}

static void equal_selectors_are_equal_arrays(void **state)
{
	static const char text[] = "{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, "
				   "metadata: {name: x}, spec: {subject:"
				   " {podSelector: {matchExpressions: [{key: b, operator: Exists}, "
				   "{key: b, operator: In,"
				   " values: [z, a, z]}], matchLabels: {c: d, a: b}}}}}";
	struct doc_set *set = doc_set_new();
	const struct selector *s;

	assert_int_equal(doc_set_add_text(set, "a.yaml", text, strlen(text), NULL), 0);
	s = &set->policies[0]->pods;
	assert_int_equal(s->n, 4);
	assert_string_equal(s->reqs[0].key, "a");
	assert_int_equal(s->reqs[1].op, SEL_IN);
	assert_int_equal(s->reqs[1].n_values, 2);
	assert_string_equal(s->reqs[1].values[0], "a");
	assert_int_equal(s->reqs[2].op, SEL_EXISTS);
	assert_string_equal(s->reqs[3].key, "c");
	doc_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_stay_sorted_and_unique),
		cmocka_unit_test(knows_which_labels_kubernetes_allows),
		cmocka_unit_test(selectors_match_as_in_kubernetes),
		cmocka_unit_test(equal_selectors_are_equal_arrays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
