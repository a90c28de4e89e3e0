/* SPDX-License-Identifier: Apache-2.0 */
#include "source/kube.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "source/kube_priv.h"
#include "testkit/fake_world.h"
#include "testkit/netns_fixture.h"

static struct fake_world w;

static int stop(void **state)
{
	fake_world_stop(&w);
	return 0;
}

/* Tells what it was asked. */
static void echo(struct fake_conn *c, const struct fake_request *r, void *data)
{
	__cleanup_free char *text = mem_printf(
		"{\"method\":\"%s\",\"path\":\"%s\",\"token\":\"%s\",\"type\":\"%s\",\"user\":"
		"\"%s\",\"body\":\"%s\"}",
		r->method, r->path, r->token, r->type, r->user, r->body);

	fake_json(c, 200, text);
}

static void a_call_brings_the_answer_as_json(void **state)
{
	static const struct {
		struct kube_request request;
		const char *answer;
	} cases[] = {
		{{.path = "/api/v1/pods?a=b%2Fc"},
		 "{\"method\":\"GET\",\"path\":\"/api/v1/pods?a=b%2Fc\",\"token\":\"secret\","
		 "\"type\":\"\",\"user\":\"\",\"body\":\"\"}"},
		{{.method = "POST", .path = "/x", .body = "[1]"},
		 "{\"method\":\"POST\",\"path\":\"/x\",\"token\":\"secret\",\"type\":\"application/"
		 "json\",\"user\":\"\",\"body\":\"[1]\"}"},
		{{.method = "PATCH", .path = "/x", .content_type = KUBE_APPLY, .body = "[2]"},
		 "{\"method\":\"PATCH\",\"path\":\"/"
		 "x\",\"token\":\"secret\",\"type\":\"application/"
		 "apply-patch+yaml\",\"user\":\"\",\"body\":\"[2]\"}"},
		{{.method = "DELETE", .path = "/x/../y"},
		 "{\"method\":\"DELETE\",\"path\":\"/x/../y\",\"token\":\"secret\",\"type\":\"\","
		 "\"user\":\"\",\"body\":\"\"}"},
	};

	fake_world_start(&w, NULL, echo, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_world_call(&w, &cases[i].request);
		assert_int_equal(w.status, 200);
		assert_string_equal(w.e.msg, "");
		assert_string_equal(w.body, cases[i].answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_call_brings_the_answer_as_json, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
