/* SPDX-License-Identifier: Apache-2.0 */
/* Events that are repeated, or come behind what is newer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json/json.h"
#include "reconcile/objects.h"
#include "testkit/objects_fixture.h"

#define POD_AT(app, version)                                                                  \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"p\",\"resourceVersion\":\"" version \
	"\",\"labels\":{\"app\":\"" app "\"}}}"

static const char *app_of_p(struct fixture *f)
{
	const struct object *obj = objects_find(f->o, OBJECTS_PODS, "shop", "p");

	return obj && !obj->gone ? labels_get(&doc_item_meta(obj->good)->labels, "app") : "none";
}

static void an_event_that_comes_late_changes_nothing(void **state)
{
	static const struct {
		const char *put, *gone, *app;
	} events[] = {
		{POD_AT("b", "12"), NULL, "b"}, {POD_AT("b", "12"), NULL, "b"},
		{POD_AT("a", "11"), NULL, "b"}, {NULL, "11", "b"},
		{POD_AT("c", "13"), NULL, "c"}, {NULL, "14", "none"},
		{POD_AT("d", "15"), NULL, "d"}, {NULL, "later", "none"},
		{POD_AT("e", "16"), NULL, "e"}, {NULL, NULL, "none"},
	};
	struct fixture *f = *state;

	sync_all(f);
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		if (events[i].put)
			put(f, OBJECTS_PODS, events[i].put);
		else
			objects_gone(f->o, OBJECTS_PODS, "shop", "p", events[i].gone);
		assert_string_equal(app_of_p(f), events[i].app);
	}
	/* where a store was restored, versions begin anew: a list is the truth */
	put(f, OBJECTS_PODS, POD_AT("f", "17"));
	objects_begin(f->o, OBJECTS_PODS);
	put(f, OBJECTS_PODS, POD_AT("g", "3"));
	objects_synced(f->o, OBJECTS_PODS);
	assert_string_equal(app_of_p(f), "g");
	objects_gone(f->o, OBJECTS_PODS, "shop", "p", "4");
	assert_string_equal(app_of_p(f), "none");
}

static void a_pod_that_was_asked_for_outlives_the_one_before_it(void **state)
{
	__cleanup_json struct json *pod = NULL;
	static const char text[] = POD_AT("new", "18");
	struct fixture *f = *state;

	put(f, OBJECTS_PODS, POD_AT("old", "12"));
	sync_all(f);
	assert_int_equal(json_parse(text, strlen(text), &pod, NULL), 0);
	objects_fetched(f->o, OBJECTS_PODS, pod);
	objects_gone(f->o, OBJECTS_PODS, "shop", "p", "15");
	assert_string_equal(app_of_p(f), "new");
	put(f, OBJECTS_PODS, POD_AT("new", "18"));
	assert_string_equal(app_of_p(f), "new");
	objects_gone(f->o, OBJECTS_PODS, "shop", "p", "20");
	assert_string_equal(app_of_p(f), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, store_make, store_remove)
		T(an_event_that_comes_late_changes_nothing),
		T(a_pod_that_was_asked_for_outlives_the_one_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
