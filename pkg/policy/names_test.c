/* SPDX-License-Identifier: Apache-2.0 */
/* More names than the kernel can be told of: whose they are, and what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "policy/accept.h"
#include "policy/compile.h"
#include "testkit/policy_fixture.h"

#define PART 1024 /* names in an object */

static void put_policy(FILE *s, const char *namespace, const char *name)
{
	fprintf(s,
		"---\napiVersion: sluice.dev/v1alpha1\nkind: EgressPolicy\n"
		"metadata: {name: %s, namespace: %s}\nspec:\n  subject: {podSelector: {}}\n"
		"  rules:\n  - action: Allow\n    to:\n    - destinationSelector: {matchLabels: "
		"{of: %s}}\n  default: {action: Deny}\n",
		name, namespace, name);
}

/* n names of this namespace, "" = the cluster's, below LABEL.example.com. */
static void put_names(FILE *s, const char *namespace, const char *label, int n)
{
	for (int first = 0; first < n; first += PART) {
		fprintf(s,
			"---\napiVersion: sluice.dev/v1alpha1\nkind: %sEgressDestination\n"
			"metadata: {name: %s-%d%s%s, labels: {of: %s}}\nspec:\n  fqdns:\n",
			*namespace ? "" : "Cluster", label, first / PART,
			*namespace ? ", namespace: " : "", namespace, label);
		for (int i = first; i < first + PART && i < n; i++)
			fprintf(s, "  - n%d.%s.example.com\n", i, label);
	}
}

static const struct doc_policy *policy_of(const struct doc_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_policies; i++)
		if (strcmp(set->policies[i]->meta.name, name) == 0)
			return set->policies[i];
	fail_msg("no policy %s", name);
	return NULL;
}

static void accepted(const struct policy_fixture *f, const char *name, const char *says)
{
	__cleanup(acceptance_done) struct acceptance a;

	policy_accept(f->set, f->c, policy_of(f->set, name), &a);
	if (!says) {
		assert_null(a.reason);
		return;
	}
	assert_string_equal(a.reason, "TooManyNames");
	assert_non_null(strstr(a.message, says));
}

static void compile(struct policy_fixture *f, char *text)
{
	policy_fixture_init(f, text, "n1", "eth0 192.0.2.1/24");
	free(text);
}

static void a_namespace_has_so_many_names_and_takes_none_from_others(void **state)
{
	struct policy_fixture f;
	size_t size, n;
	char *text;
	FILE *s = open_memstream(&text, &size);

	put_policy(s, "evil", "a-first");
	put_names(s, "evil", "a-first", COMPILED_NAMES_OF_ONE + 5);
	put_policy(s, "shop", "b-second");
	put_names(s, "shop", "b-second", 100);
	fclose(s);
	compile(&f, text);
	compiled_names(f.c, &n);
	assert_int_equal(n, COMPILED_NAMES_OF_ONE + 100);
	accepted(&f, "a-first", "5 names of its rules match nothing");
	accepted(&f, "b-second", NULL);
	policy_fixture_done(&f);
}

static void all_have_so_many_names_and_the_rest_is_told_of(void **state)
{
	struct policy_fixture f, again;
	struct compiled *c = NULL;
	struct err e = {0};
	size_t size, n;
	char *text;
	FILE *s = open_memstream(&text, &size);

	fputs("---\napiVersion: sluice.dev/v1alpha1\nkind: ClusterEgressPolicy\n"
	      "metadata: {name: feed}\nspec:\n  subject: {podSelector: {}}\n  rules:\n"
	      "  - {name: deny, action: Deny, to: [{destinationSelector: {matchLabels: {of: "
	      "feed}}}]}\n",
	      s);
	put_names(s, "", "feed", COMPILED_NAMES_MAX - 10);
	put_policy(s, "shop", "late");
	put_names(s, "shop", "late", 12);
	fclose(s);
	compile(&f, text);
	compiled_names(f.c, &n);
	assert_int_equal(n, COMPILED_NAMES_MAX);
	accepted(&f, "feed", NULL);
	accepted(&f, "late", "2 names");
	/* nor does a compile that begins with this one forget it */
	again = f;
	assert_int_equal(policy_compile_again(f.set, &f.node, f.c, &c, &e), 0);
	again.c = c;
	accepted(&again, "late", "2 names");
	compiled_free(c);
	policy_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_namespace_has_so_many_names_and_takes_none_from_others),
		cmocka_unit_test(all_have_so_many_names_and_the_rest_is_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
