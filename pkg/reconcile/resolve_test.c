/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "testkit/netns_fixture.h"
#include "testkit/reconcile_fixture.h"

/* The answer to a question; caller frees. */
static struct json *resolve(const char *text)
{
	__cleanup_json struct json *request = NULL;
	struct err e = {0};

	expect_ok(json_parse(text, strlen(text), &request, &e), &e);
	return reconcile_resolve(rnode(), request);
}

static const char *kind_of(const struct json *answer)
{
	const char *kind = "";
	bool ok = false;

	json_bool(json_get(answer, "ok"), &ok, NULL);
	json_string(json_get(answer, ok ? "kind" : "error"), &kind, NULL);
	return kind;
}

#define ASK(labels)                                                             \
	"{\"v\":1,\"op\":\"resolve\",\"namespace\":\"default\",\"name\":\"x\"," \
	"\"labels\":" labels ",\"network\":\"n\",\"ifname\":\"eth0\"}"

static void answers_when_the_program_is_in_the_kernel(void **state)
{
	__cleanup_json struct json *web = NULL, *other = NULL, *again = NULL;
	int64_t policy = 0;
	uint32_t id;

	rnode_cluster("n1");
	rnode_policy("web.yaml", POLICY("web", DENY_DOCS AS_OFFICE));
	rnode_settle();
	web = resolve(ASK(WEB));
	assert_string_equal(kind_of(web), "policy");
	assert_int_equal(json_int(json_get(web, "policy"), 1, UINT32_MAX, &policy, NULL), 0);
	assert_int_equal(rnode_decision((uint32_t)policy, "203.0.113.9", &id), SLU_DENY);
	assert_true(reconcile_unpublished(rnode()));
	other = resolve(ASK("null"));
	assert_string_equal(kind_of(other), "free");
	/* promised: no pass lets go of it, though no record is there yet */
	rnode_settle();
	assert_false(reconcile_unpublished(rnode()));
	again = resolve(ASK(WEB));
	assert_true(json_equal(web, again));
	assert_int_equal(rnode_decision((uint32_t)policy, "203.0.113.9", &id), SLU_DENY);
}

static void answers_by_policies_that_were_written_a_moment_ago(void **state)
{
	__cleanup_json struct json *before = NULL, *after = NULL;

	rnode_cluster("n1");
	rnode_settle();
	before = resolve(ASK(WEB));
	assert_string_equal(kind_of(before), "free");
	rnode_policy("web.yaml", POLICY("web", AS_OFFICE));
	after = resolve(ASK(WEB));
	assert_string_equal(kind_of(after), "policy");
}

static void cannot_decide_without_any_valid_policies(void **state)
{
	__cleanup_json struct json *answer = NULL, *wrong = NULL;

	rnode_policy("bad.yaml", "kind: Nonsense\n");
	answer = resolve(ASK("null"));
	assert_string_equal(kind_of(answer), "undecided");
	wrong = resolve("{\"v\":1,\"op\":\"resolve\",\"namespace\":7}");
	assert_non_null(strstr(kind_of(wrong), "namespace"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rnode_setup, rnode_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_when_the_program_is_in_the_kernel),
		TEST(answers_by_policies_that_were_written_a_moment_ago),
		TEST(cannot_decide_without_any_valid_policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
