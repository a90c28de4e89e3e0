/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "install/conflist.h"
#include "install/lists_fixture.h"

#define ENTRY "{\"type\":\"sluice\",\"failureMode\":\"open\"}"

static struct json *parsed(const char *name, const char *text)
{
	struct json *list;
	struct err e = {0};

	if (conflist_parse(name, text, strlen(text), &list, &e) < 0)
		fail_msg("%s: %s", name, e.msg);
	return list;
}

static struct json *plain(const char *text)
{
	struct json *j;

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	return j;
}

static struct json *copied(const char *name, const char *text, const struct json *own)
{
	__cleanup_json struct json *list = parsed(name, text);
	__cleanup_json struct json *entry = plain(ENTRY);

	return conflist_copy(list, name, entry, own);
}

static void expect_text(struct json *take, const char *expected)
{
	__cleanup_json struct json *j = take;
	__cleanup_free char *text = json_emit(j, 0);

	assert_string_equal(text, expected);
}

static void appends_the_entry_to_what_every_main_cni_writes(void **state)
{
	static const struct {
		const char *name, *text;
	} mains[] = {
		{"10-kindnet.conflist", KINDNET},
		{"10-flannel.conflist", FLANNEL},
		{"10-calico.conflist", CALICO},
		{"05-cilium.conflist", CILIUM},
		{"10-aws.conflist", AWS},
		{"10-containers.conf", BRIDGE_CONF},
		{"10-containers.json", BRIDGE_CONF},
	};

	for (size_t i = 0; i < sizeof(mains) / sizeof(mains[0]); i++) {
		__cleanup_json struct json *main = parsed(mains[i].name, mains[i].text);
		__cleanup_json struct json *copy = copied(mains[i].name, mains[i].text, NULL);
		const struct json *theirs = json_get(main, "plugins");
		const struct json *ours = json_get(copy, "plugins");

		assert_int_equal(json_len(ours), json_len(theirs) + 1);
		for (size_t k = 0; k < json_len(theirs); k++)
			assert_true(json_equal(json_at(ours, k), json_at(theirs, k)));
		assert_ptr_equal(conflist_entry(copy), json_at(ours, json_len(theirs)));
		assert_true(json_equal(json_get(copy, "name"), json_get(main, "name")));
		assert_true(json_equal(json_get(copy, "cniVersion"), json_get(main, "cniVersion")));
		assert_string_equal(conflist_copy_of(copy), mains[i].name);
		assert_null(conflist_copy_of(main));
		assert_int_equal(conflist_chainable(copy, NULL), 0);
	}
}

static void keeps_the_order_and_what_it_does_not_know(void **state)
{
	expect_text(
		copied("10-new.conflist", NEWEST, NULL),
		"{\"cniVersions\":[\"0.4.0\",\"1.1.0\"],\"cniVersion\":\"1.0.0\",\"name\":"
		"\"new\",\"disableGC\":true,\"loadOnlyInlinedPlugins\":true,\"vendor.example/x\":"
		"[1,2.50,null],\"plugins\":[{\"type\":\"ptp\"}," ENTRY
		"],\"sluice.dev/copy\":{\"of\":\"10-new.conflist\",\"entries\":2}}");
}

static void makes_a_list_of_one_plugin(void **state)
{
	expect_text(
		copied("x.conf", "{\"type\":\"ptp\",\"name\":\"n\",\"CNIVersion\":\"0.4.0\"}",
		       NULL),
		"{\"cniVersion\":\"0.4.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"ptp\",\"name\":"
		"\"n\",\"CNIVersion\":\"0.4.0\"}," ENTRY
		"],\"sluice.dev/copy\":{\"of\":\"x.conf\",\"entries\":2}}");
}

static void leaves_an_entry_where_somebody_put_it(void **state)
{
	static const char main[] =
		"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":"
		"\"ptp\"},{\"type\":\"sluice\",\"logLevel\":\"debug\"},{\"type\":"
		"\"tuning\"}]";
	__cleanup_free char *text = mem_printf("%s}", main);
	__cleanup_free char *expected = mem_printf(
		"%s,\"sluice.dev/copy\":{\"of\":\"m.conflist\",\"entries\":3}}", main);

	expect_text(copied("m.conflist", text, NULL), expected);
}

/* Istio and Linkerd append themselves to the first list that they find: ours. */
static void keeps_what_others_append_to_the_copy(void **state)
{
	static const char istio[] = "{\"type\":\"istio-cni\"}";
	static const char after[] = "{\"cniVersion\":\"1.0.0\",\"name\":\"m\",\"plugins\":[{"
				    "\"type\":\"ptp\"}," ENTRY ",{\"type\":\"istio-cni\"}],"
				    "\"sluice.dev/copy\":{\"of\":\"m.conflist\",\"entries\":2}}";
	__cleanup_json struct json *own = parsed("00-sluice.conflist", after);

	expect_text(
		copied("m.conflist",
		       "{\"cniVersion\":\"1.0.0\",\"name\":\"m\",\"plugins\":[{\"type\":\"ptp\"}"
		       "]}",
		       own),
		after);
	/* the main list grew: what we wrote is not taken for theirs */
	expect_text(copied("m.conflist",
			   "{\"cniVersion\":\"1.0.0\",\"name\":\"m\",\"plugins\":[{\"type\":"
			   "\"bridge\"},{\"type\":\"portmap\"}]}",
			   own),
		    "{\"cniVersion\":\"1.0.0\",\"name\":\"m\",\"plugins\":[{\"type\":\"bridge\"},{"
		    "\"type\":\"portmap\"}," ENTRY
		    ",{\"type\":\"istio-cni\"}],\"sluice.dev/copy\":{"
		    "\"of\":\"m.conflist\",\"entries\":3}}");
	/* and it is there once when the main list has it by now */
	expect_text(
		copied("m.conflist",
		       "{\"cniVersion\":\"1.0.0\",\"name\":\"m\",\"plugins\":[{\"type\":\"ptp\"}"
		       ",{\"type\":\"istio-cni\"}]}",
		       own),
		"{\"cniVersion\":\"1.0.0\",\"name\":\"m\",\"plugins\":[{\"type\":\"ptp\"},{"
		"\"type\":\"istio-cni\"}," ENTRY "],\"sluice.dev/copy\":{\"of\":\"m.conflist\","
		"\"entries\":3}}");
	assert_non_null(strstr(after, istio));
}

static void refuses_what_runtimes_refuse(void **state)
{
	static const struct {
		const char *name, *text, *message;
	} rows[] = {
		{"a.conflist", "", "found the end"},
		{"a.conflist", "{\"name\": \"x\", \"plugi", "line 1"},
		{"a.conflist", "[]", "expected object"},
		{"a.conflist", "{\"plugins\":[{\"type\":\"a\"}]}", "no name"},
		{"a.conflist", "{\"name\":\"-x\",\"plugins\":[{\"type\":\"a\"}]}", "'-x'"},
		{"a.conflist", "{\"name\":\"a/b\",\"plugins\":[{\"type\":\"a\"}]}", "'a/b'"},
		{"a.conflist", "{\"name\":7,\"plugins\":[{\"type\":\"a\"}]}", "expected string"},
		{"a.conflist", "{\"name\":\"x\"}", "no plugins"},
		{"a.conflist", "{\"name\":\"x\",\"plugins\":[]}", "no plugins"},
		{"a.conflist", "{\"name\":\"x\",\"plugins\":{}}", "expected array"},
		{"a.conflist", "{\"name\":\"x\",\"plugins\":[{}]}", "plugins[0]: no type"},
		{"a.conflist", "{\"name\":\"x\",\"plugins\":[1]}", "expected object"},
		{"a.conflist", "{\"name\":\"x\",\"cniVersion\":1,\"plugins\":[{\"type\":\"a\"}]}",
		 "cniVersion"},
		{"a.conflist", BRIDGE_CONF, "no plugins"},
		{"a.conf", FLANNEL, "belongs in a .conflist"},
		{"a.json", "{\"type\":\"a\"}", "not a network name"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json *list = NULL;
		struct err e = {0};

		assert_true(conflist_parse(rows[i].name, rows[i].text, strlen(rows[i].text), &list,
					   &e) < 0);
		assert_null(list);
		if (!strstr(e.msg, rows[i].message))
			fail_msg("'%s' is not in '%s'", rows[i].message, e.msg);
	}
}

static void chains_only_in_versions_that_have_chains(void **state)
{
	static const struct {
		const char *version;
		bool yes;
	} rows[] = {{"0.2.0", false}, {"", false},	{"0.3.0", true},
		    {"1.1.0", true},  {"1.2.0", false}, {"1.0", false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		__cleanup_free char *text = mem_printf(
			"{\"cniVersion\":\"%s\",\"name\":\"n\",\"type\":\"a\"}", rows[i].version);
		__cleanup_json struct json *list = parsed("a.conf", text);

		assert_int_equal(conflist_chainable(list, NULL) == 0, rows[i].yes);
	}
}

static void looks_at_the_names_that_libcni_looks_at(void **state)
{
	assert_true(conflist_name("10-a.conf") && conflist_name("10-a.conflist"));
	assert_true(conflist_name("a.json") && conflist_name(".conf"));
	assert_false(conflist_name("10-a.conflist.cilium_bak") || conflist_name("a.conflist~"));
	assert_false(conflist_name("a.conf.swp") || conflist_name(".a.conflist.1234.tmp"));
	assert_false(conflist_name("calico-kubeconfig") || conflist_name("a.CONF"));
}

static void knows_multus_and_whom_it_calls(void **state)
{
	__cleanup_json struct json *thin = parsed("a.conf", MULTUS_THIN(FLANNEL));
	__cleanup_json struct json *ours = parsed(
		"a.conf", MULTUS_THIN("{\"name\":\"x\",\"plugins\":[" ENTRY "]}"));
	__cleanup_json struct json *thick = parsed("a.conf", MULTUS_THICK("/host/x/10-a.conflist"));
	__cleanup_json struct json *other = parsed("a.conf", BRIDGE_CONF);
	const char *name;

	assert_true(conflist_delegates(thin) && conflist_delegates(thick));
	assert_false(conflist_delegates(other));
	assert_false(conflist_delegate_chained(thin, &name));
	assert_string_equal(name, "");
	assert_true(conflist_delegate_chained(ours, &name));
	assert_false(conflist_delegate_chained(thick, &name));
	assert_string_equal(name, "10-a.conflist");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_the_entry_to_what_every_main_cni_writes),
		cmocka_unit_test(keeps_the_order_and_what_it_does_not_know),
		cmocka_unit_test(makes_a_list_of_one_plugin),
		cmocka_unit_test(leaves_an_entry_where_somebody_put_it),
		cmocka_unit_test(keeps_what_others_append_to_the_copy),
		cmocka_unit_test(refuses_what_runtimes_refuse),
		cmocka_unit_test(chains_only_in_versions_that_have_chains),
		cmocka_unit_test(looks_at_the_names_that_libcni_looks_at),
		cmocka_unit_test(knows_multus_and_whom_it_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
