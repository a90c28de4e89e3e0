/* SPDX-License-Identifier: Apache-2.0 */
#include "source/kube_watch.h"

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

static void list_of(struct fake_conn *c, const char *version, const char *items)
{
	__cleanup_free char *text = mem_printf(
		"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":"
		"\"%s\"},\"items\":[%s]}",
		version, items);

	fake_json(c, 200, text);
}

#define POD(namespace, name, version)     \
	"{\"metadata\":{\"name\":\"" name \
	"\",\"namespace\":\"" namespace "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

static bool is_watch(const struct fake_request *r)
{
	return strstr(r->path, "watch=true");
}

static void two_pods(struct fake_conn *c, const struct fake_request *r, void *data)
{
	if (!is_watch(r)) {
		list_of(c, "5", POD("shop", "a", "3") "," POD("shop", "b", "4"));
		return;
	}
	fake_head(c, 200, NULL);
	fake_printf(c, EVENT("ADDED", POD("shop", "c", "6")));
	fake_printf(c, EVENT("MODIFIED", POD("shop", "a", "7")));
	fake_printf(c, EVENT("DELETED", POD("shop", "b", "8")));
	fake_hold(c);
}

static void a_list_comes_first_and_then_what_happens(void **state)
{
	fake_world_start(&w, NULL, two_pods, NULL);
	fake_world_watch(&w, NULL);
	assert_string_equal(w.said, "");
	fake_world_until(&w, "begin +shop/a@3 +shop/b@4 synced +shop/c@6 +shop/a@7 -shop/b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_list_comes_first_and_then_what_happens, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
