/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "cni/attachments.h"
#include "cni/request.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define ADD_ENV                                                               \
	{                                                                     \
		"ADD", "c1", "/run/netns/x", "eth0", "", "/opt/cni/bin", NULL \
	}

static int parse(struct cni_request *req, const struct cni_env *env, const char *text,
		 struct err *e)
{
	return cni_request_parse(req, env, text, strlen(text), e);
}

static void names_all_missing_variables_at_once(void **state)
{
	static const struct {
		struct cni_env env;
		const char *words; /* NULL = nothing is missing */
	} rows[] = {
		{{"ADD", 0, 0, 0, 0, 0, 0},
		 "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing"},
		{{"ADD", "c", "/n", "", 0, "", 0},
		 "required env variables [CNI_IFNAME,CNI_PATH] missing"},
		{{"CHECK", "c", "", "eth0", 0, "/p", 0}, "[CNI_NETNS]"},
		/* optional in the specification: alone it is no reason to refuse */
		{{"ADD", "c", "/n", "eth0", 0, 0, 0}, NULL},
		{{"CHECK", "c", "/n", "eth0", 0, "", 0}, NULL},
		{{"DEL", "", "", "", 0, 0, 0}, "[CNI_CONTAINERID,CNI_IFNAME]"},
		{{"DEL", "c", NULL, "eth0", 0, 0, 0}, NULL},
		{{"DEL", "c", "", "eth0", 0, "", 0}, NULL},
		{{"GC", "", "", "", "", "", 0}, NULL},
		{{"GC", 0, 0, 0, 0, 0, 0}, "[CNI_PATH]"},
		{{"STATUS", 0, 0, 0, 0, 0, 0}, NULL},
		{{"STATUS", "", "", "", "", "", 0}, NULL},
		{{"VERSION", "dummy", "dummy", "dummy", 0, "dummy", 0}, NULL},
		{{"add", "c", "/n", "eth0", 0, "/p", 0}, "unknown CNI_COMMAND: add"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err e = {0};
		enum cni_verb verb;
		int r = cni_verb_parse(&rows[i].env, &verb, &e);

		if (r != (rows[i].words ? CNI_INVALID_ENV : 0) ||
		    (r && !strstr(e.msg, rows[i].words)))
			fail_msg("row %zu: %d %s", i, r, e.msg);
	}
}

static void reads_what_containerd_sends(void **state)
{
	static const char text[] =
		"{\"capabilities\":{\"portMappings\":true},\"cniVersion\":\"1.0.0\",\"name\":\"x\","
		"\"prevResult\":{\"cniVersion\":\"1.0.0\",\"dns\":{},\"ips\":[]},"
		"\"runtimeConfig\":{\"io.kubernetes.cri.pod-annotations\":{\"a\":\"{\\\"b\\\":1}\"}"
		"},"
		"\"type\":\"sluice\"}";
	const struct cni_env env = ADD_ENV;
	struct cni_request req;

	assert_int_equal(parse(&req, &env, text, NULL), 0);
	assert_int_equal(req.verb, CNI_ADD);
	assert_string_equal(req.version, "1.0.0");
	assert_string_equal(req.name, "x");
	assert_non_null(req.prev);
	assert_string_equal(req.env.netns_override, "");
	cni_request_done(&req);
}

static void matches_keys_as_go_does(void **state)
{
	const struct cni_env env = ADD_ENV;
	struct cni_request req;

	assert_int_equal(parse(&req, &env,
			       "{\"CNIVersion\":\"0.4.0\",\"Name\":\"n\",\"PrevResult\":null}",
			       NULL),
			 0);
	assert_string_equal(req.version, "0.4.0");
	assert_null(req.prev);
	cni_request_done(&req);
}

static void refuses_with_the_well_known_codes(void **state)
{
#define V	"\"cniVersion\":\"1.0.0\""
#define NETWORK "{" V ",\"name\":\"x\"}"
	static const struct {
		struct cni_env env;
		const char *text;
		int code;
		const char *words, *version;
	} rows[] = {
		{ADD_ENV, "", 6, "stdin", "1.1.0"},
		{ADD_ENV, "[]", 6, "object", "1.1.0"},
		{ADD_ENV, "{" V "} x", 6, "stdin", "1.1.0"},
		{ADD_ENV, "{" V "," V "}", 6, "stdin", "1.1.0"},
		{ADD_ENV, "{\"cniVersion\":1}", 6, "cniVersion", "1.1.0"},
		{ADD_ENV, "{\"name\":\"x\"}", 1, "incompatible CNI versions: config is \"0.1.0\"",
		 "1.1.0"},
		{ADD_ENV, "{\"cniVersion\":\"\",\"name\":\"x\"}", 1, "0.3.0, 0.3.1", "1.1.0"},
		{ADD_ENV, "{\"cniVersion\":\"0.2.0\",\"name\":\"x\"}", 1, "0.2.0", "1.1.0"},
		{ADD_ENV, "{\"cniVersion\":\"1.2.0\",\"name\":\"x\"}", 1, "1.2.0", "1.1.0"},
		{ADD_ENV, "{" V "}", 7, "missing network name", "1.0.0"},
		{ADD_ENV, "{" V ",\"name\":\"\"}", 7, "missing network name", "1.0.0"},
		{ADD_ENV, "{" V ",\"name\":7}", 7, "name", "1.0.0"},
		{ADD_ENV, "{" V ",\"name\":\"../x\"}", 7, "'../x'", "1.0.0"},
		{ADD_ENV, "{" V ",\"name\":\"x\",\"prevResult\":[]}", 6, "prevResult", "1.0.0"},
		{{"ADD", "-c", "/n", "eth0", 0, "/p", 0}, NETWORK, 4, "CNI_CONTAINERID", "1.0.0"},
		{{"ADD", "c/d", "/n", "eth0", 0, "/p", 0}, NETWORK, 4, "CNI_CONTAINERID", "1.0.0"},
		{{"ADD", "c", "/n", "..", 0, "/p", 0}, NETWORK, 4, "CNI_IFNAME", "1.0.0"},
		{{"ADD", "c", "/n", "a b", 0, "/p", 0}, NETWORK, 4, "CNI_IFNAME", "1.0.0"},
		{{"ADD", "c", "/n", "abcdefghijklmnop", 0, "/p", 0},
		 NETWORK,
		 4,
		 "CNI_IFNAME",
		 "1.0.0"},
		{{"CHECK", "c", "/n", "eth0", 0, "/p", 0},
		 "{\"cniVersion\":\"0.3.1\",\"name\":\"x\"}",
		 1,
		 "config version does not allow CHECK",
		 "0.3.1"},
		{{"GC", 0, 0, 0, 0, "", 0},
		 NETWORK,
		 1,
		 "config version does not allow GC",
		 "1.0.0"},
		{{"STATUS", 0, 0, 0, 0, 0, 0},
		 NETWORK,
		 1,
		 "config version does not allow STATUS",
		 "1.0.0"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cni_request req;
		struct err e = {0};
		int r = parse(&req, &rows[i].env, rows[i].text, &e);

		if (r != rows[i].code || !strstr(e.msg, rows[i].words) ||
		    strcmp(req.version, rows[i].version))
			fail_msg("row %zu: %d '%s' %s", i, r, req.version, e.msg);
		cni_request_done(&req);
	}
}

static void version_answers_the_input_whatever_it_is(void **state)
{
	static const struct {
		const char *text, *version;
	} rows[] = {
		{"{\"cniVersion\":\"0.3.1\"}", "0.3.1"},
		{"{\"cniVersion\":\"9.9.9\"}", "9.9.9"},
		{"{\"cniVersion\":7}", "1.1.0"},
		{"{}", "1.1.0"},
		{"", "1.1.0"},
		{"{\"cniVersion\":\"0123456789012345678901234567890\"}", "1.1.0"},
	};
	const struct cni_env env = {.command = "VERSION"};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cni_request req;

		assert_int_equal(parse(&req, &env, rows[i].text, NULL), 0);
		assert_string_equal(req.version, rows[i].version);
		cni_request_done(&req);
	}
}

static void the_last_argument_of_a_name_wins(void **state)
{
	static const char args[] = "IgnoreUnknown=1;K8S_POD_NAME=a=b;X;;K8S_POD_NAMESPACE=;K=1;K=2";
	__cleanup_free char *name = cni_args_get(args, "K8S_POD_NAME");
	__cleanup_free char *namespace = cni_args_get(args, "K8S_POD_NAMESPACE");
	__cleanup_free char *k = cni_args_get(args, "K");

	assert_string_equal(name, "a=b");
	assert_string_equal(namespace, "");
	assert_string_equal(k, "2");
	assert_null(cni_args_get(args, "K8S_POD_UID"));
	assert_null(cni_args_get(args, "X"));
	assert_null(cni_args_get("", "X"));
}

static void stdin_is_read_to_its_end_and_no_further_than_the_cap(void **state)
{
	__cleanup_free char *text = NULL;
	struct err e = {0};
	size_t len = 0;
	FILE *f = tmpfile();

	assert_non_null(f);
	for (int i = 0; i < 100000; i++)
		fputs("[1],", f);
	fflush(f);
	lseek(fileno(f), 0, SEEK_SET);
	assert_int_equal(cni_stdin_load(fileno(f), &text, &len, NULL), 0);
	assert_int_equal(len, 400000);
	assert_int_equal(ftruncate(fileno(f), CNI_STDIN_MAX + 1), 0);
	lseek(fileno(f), 0, SEEK_SET);
	assert_int_equal(cni_stdin_load(fileno(f), &text, &len, &e), CNI_IO_FAILURE);
	assert_non_null(strstr(e.msg, "longer"));
	fclose(f);
	assert_int_equal(cni_stdin_load(-1, &text, &len, &e), CNI_IO_FAILURE);
}

static int list_parse(const char *text, struct json **ret_conf, struct cni_attachments **ret)
{
	assert_int_equal(json_parse(text, strlen(text), ret_conf, NULL), 0);
	return cni_attachments_parse(*ret_conf, ret, NULL);
}

static void a_missing_list_is_not_an_empty_one(void **state)
{
	__cleanup_json struct json *none = NULL;
	__cleanup_json struct json *empty = NULL;
	struct cni_attachments *a = NULL;

	assert_int_equal(list_parse("{\"cni.dev/valid-attachments\":null}", &none, &a), 0);
	assert_null(a);
	assert_int_equal(list_parse("{\"cni.dev/valid-attachments\":[]}", &empty, &a), 0);
	assert_non_null(a);
	assert_false(cni_attachments_have(a, "c", "eth0"));
	cni_attachments_free(a);
}

static void finds_what_is_in_the_list(void **state)
{
	__cleanup_json struct json *conf = NULL;
	struct cni_attachments *a = NULL;

	assert_int_equal(list_parse("{\"cni.dev/attachments\":["
				    "{\"containerID\":\"b\",\"ifname\":\"eth0\"},"
				    "{\"ContainerID\":\"a\",\"IfName\":\"net1\"}]}",
				    &conf, &a),
			 0);
	assert_true(cni_attachments_have(a, "a", "net1"));
	assert_true(cni_attachments_have(a, "b", "eth0"));
	assert_false(cni_attachments_have(a, "a", "eth0"));
	cni_attachments_free(a);
}

static void a_list_that_is_none_removes_nothing(void **state)
{
	static const char *const texts[] = {
		"{\"cni.dev/valid-attachments\":{}}",
		"{\"cni.dev/valid-attachments\":[null]}",
		"{\"cni.dev/valid-attachments\":[{\"containerID\":\"a\"}]}",
		"{\"cni.dev/valid-attachments\":[{\"containerID\":7,\"ifname\":\"eth0\"}]}",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		__cleanup_json struct json *conf = NULL;
		struct cni_attachments *a = NULL;

		assert_true(list_parse(texts[i], &conf, &a) < 0);
		assert_null(a);
	}
}

static void an_error_is_one_json_object(void **state)
{
	__cleanup_free char *text = cni_error_emit("0.4.0", CNI_TRY_AGAIN, "a \"b\"", "c");
	__cleanup_free char *plain = cni_error_emit("1.1.0", CNI_IO_FAILURE, "", NULL);
	__cleanup_json struct json *tree = NULL;

	assert_string_equal(text, "{\"cniVersion\":\"0.4.0\",\"code\":11,\"msg\":\"a \\\"b\\\"\","
				  "\"details\":\"c\"}");
	assert_string_equal(plain, "{\"cniVersion\":\"1.1.0\",\"code\":5,\"msg\":\"I/O failure\"}");
	assert_int_equal(json_parse(cni_error_no_memory, strlen(cni_error_no_memory), &tree, NULL),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_all_missing_variables_at_once),
		cmocka_unit_test(reads_what_containerd_sends),
		cmocka_unit_test(matches_keys_as_go_does),
		cmocka_unit_test(refuses_with_the_well_known_codes),
		cmocka_unit_test(version_answers_the_input_whatever_it_is),
		cmocka_unit_test(the_last_argument_of_a_name_wins),
		cmocka_unit_test(stdin_is_read_to_its_end_and_no_further_than_the_cap),
		cmocka_unit_test(a_missing_list_is_not_an_empty_one),
		cmocka_unit_test(finds_what_is_in_the_list),
		cmocka_unit_test(a_list_that_is_none_removes_nothing),
		cmocka_unit_test(an_error_is_one_json_object),
	};

	return cmocka_run_group_tests_name("cni/request", tests, NULL, NULL);
}
