/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "json/json.h"
#include "testkit/netns_fixture.h"
#include "testkit/reconcile_fixture.h"

/* "True", "False"; NULL: there is no such condition. */
static const char *condition(const char *type)
{
	static char said[16];
	__cleanup_json struct json *status = reconcile_status(rnode());
	const struct json *list = json_get(status, "conditions");

	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *c = json_at(list, i);
		const char *of, *is;

		assert_int_equal(json_string(json_get(c, "type"), &of, NULL), 0);
		assert_int_equal(json_string(json_get(c, "status"), &is, NULL), 0);
		if (strcmp(of, type) != 0)
			continue;
		snprintf(said, sizeof(said), "%s", is);
		return said;
	}
	return NULL;
}

static void ipvs_mode_of_kube_proxy_is_said_while_it_is_there(void **state)
{
	rnode_cluster("n1");
	rnode_settle();
	assert_null(condition("ServicesJudged"));
	sh("ip link add kube-ipvs0 type bridge");
	rnode_settle();
	assert_string_equal(condition("ServicesJudged"), "False");
	sh("ip link del kube-ipvs0");
	rnode_settle();
	assert_null(condition("ServicesJudged"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ipvs_mode_of_kube_proxy_is_said_while_it_is_there,
						rnode_setup, rnode_teardown),
	};

	return cmocka_run_group_tests_name("reconcile/status", tests, NULL, NULL);
}
