/* SPDX-License-Identifier: Apache-2.0 */
/* kubectl-sluice against an API server that does what no real one does when it is asked to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "testkit/fake_api.h"
#include "testkit/run_fixture.h"

static struct fake_api *api;
static unsigned int busy; /* how many requests are answered so */

/* ---- the server ---- */

#define LIST(items) \
	"{\"kind\": \"List\", \"metadata\": {\"resourceVersion\": \"7\"}, \"items\": [" items "]}"
#define CONDITION(type, status)                          \
	"{\"type\": \"" type "\", \"status\": \"" status \
	"\", \"reason\": \"R\", \"message\": \"m\"}"

#define GATEWAY                                                                           \
	"{\"metadata\": {\"name\": \"office\"}, \"spec\": {\"addresses\": ["              \
	"{\"range\": \"203.0.113.8-203.0.113.15\"}, {\"range\": \"2001:db8::1\"}]},"      \
	"\"status\": {\"addresses\": [{\"address\": \"203.0.113.10\", \"node\": \"gw1\"," \
	"\"since\": \"2026-01-01T00:00:00Z\"}], \"conditions\": [" CONDITION("Accepted",  \
									     "True") "]}}"

/* One that no parser takes, and one that it takes as a string where it is a number. */
#define POLICIES                                                                                \
	"{\"metadata\": {\"name\": \"odd\", \"namespace\": \"shop\", \"generation\": 2},"       \
	"\"spec\": {\"priority\": \"x\", \"subject\": 7}, \"status\": {\"conditions\": ["       \
	"{\"type\": \"Accepted\", \"status\": \"True\", \"observedGeneration\": 1}]}},"         \
	"{\"metadata\": {\"name\": \"bad\", \"namespace\": \"shop\", \"annotations\": {\"a\": " \
	"\"\\u0000\"}}}"

/* A pod of the DaemonSet, whose init container is of r:5000/sluice. */
#define DAEMON(node, image)                                                                    \
	"{\"metadata\": {\"name\": \"p\", \"namespace\": \"elsewhere\"}, \"spec\": {"          \
	"\"nodeName\": \"" node "\", \"initContainers\": [{\"name\": \"install\", \"image\": " \
	"\"r:5000/sluice\"}], \"containers\": [{\"name\": \"sluiced\", \"image\": \"" image    \
	"\"}]},"                                                                               \
	"\"status\": {\"initContainerStatuses\": [{\"name\": \"install\", \"state\": {"        \
	"\"terminated\": {\"message\": \"1.0-9-gabc\"}}}]}}"

static const char *answer_to(const char *path)
{
	static const struct {
		const char *begins, *answer;
	} table[] = {
		{"/apis/sluice.dev/v1alpha1/egressgateways?", LIST(GATEWAY)},
		{"/apis/sluice.dev/v1alpha1/egresspolicies?", LIST(POLICIES)},
		{"/apis/sluice.dev/v1alpha1/", LIST("")},
		{"/api/v1/pods?",
		 LIST(DAEMON("ghost", "r:5000/sluice") "," DAEMON("other", "sluice@sha256:12"))},
		{"/api/v1/nodes?", LIST("{\"metadata\": {\"name\": \"w\", \"labels\": {"
					"\"kubernetes.io/os\": \"windows\"}}, \"status\": {"
					"\"conditions\": [" CONDITION("Ready", "True") "]}}")},
		{"/api/v1/", LIST("")},
		/* of the API's older version only */
		{"/apis/discovery.k8s.io/v1beta1/endpointslices?", LIST("")},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (strncmp(path, table[i].begins, strlen(table[i].begins)) == 0)
			return table[i].answer;
	return NULL;
}

static void usual(struct fake_conn *c, const struct fake_request *r, void *data)
{
	const char *answer = answer_to(r->path);

	if (busy && __atomic_fetch_sub(&busy, 1, __ATOMIC_RELAXED) > 0)
		fake_json(c, 503, "{\"kind\": \"Status\", \"message\": \"later\"}");
	else if (answer)
		fake_json(c, 200, answer);
	else
		fake_json(c, 404, "{\"kind\": \"Status\", \"message\": \"no such thing\"}");
}

static void without_crds(struct fake_conn *c, const struct fake_request *r, void *data)
{
	if (strncmp(r->path, "/apis/", 6) == 0)
		fake_answer(c, 404, "text/plain", "", "404 page not found\n");
	else
		fake_json(c, 200, LIST(""));
}

static void no_json(struct fake_conn *c, const struct fake_request *r, void *data)
{
	fake_answer(c, 200, "text/html", "", "<html>please log in</html>");
}

/* More of one kind than a file of a bundle has room for. */
static void crowded(struct fake_conn *c, const struct fake_request *r, void *data)
{
	static const char begins[] = "/apis/sluice.dev/v1alpha1/egresspolicies?";
	__cleanup_free char *note = NULL;

	if (strncmp(r->path, begins, strlen(begins)) != 0) {
		usual(c, r, data);
		return;
	}
	note = mem_alloc0(200000);
	memset(note, 'n', 199999);
	fake_head(c, 200, "application/json");
	fake_printf(c, "{\"kind\": \"List\", \"metadata\": {\"resourceVersion\": \"7\"}, "
		       "\"items\": [");
	for (int i = 0; i < 60; i++) {
		fake_printf(c,
			    "%s{\"metadata\": {\"name\": \"p%d\", \"namespace\": \"shop\"}, "
			    "\"spec\": {\"note\": \"",
			    i ? "," : "", i);
		fake_chunk(c, note, 199999);
		fake_printf(c, "\"}}");
	}
	fake_printf(c, "]}");
	fake_end(c);
}

/* ---- the program ---- */

static void serve(fake_handler *handler)
{
	__cleanup_kube_conf struct kube_conf conf = {0};
	__cleanup_free char *text = NULL;

	fake_api_stop(api);
	api = fake_api_start(NULL, handler, NULL);
	fake_api_conf(api, &conf);
	text = mem_printf(
		"current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
		"clusters: [{name: c, cluster: {server: '%s', certificate-authority: ca}}]\n"
		"users: [{name: u, user: {token: '%s'}}]\n",
		conf.server, conf.token);
	run_put("config", text);
	run_put("ca", fake_api_ca(api));
}

static int ask(const char *args)
{
	return run_shell("%s %s --kubeconfig config", run_program("kubectl-sluice"), args);
}

static int stop(void **state)
{
	fake_api_stop(api);
	api = NULL;
	busy = 0;
	return run_folder_remove(state);
}

/* ---- tests ---- */

static void addresses_that_nobody_carries_are_one_line(void **state)
{
	serve(usual);
	assert_int_equal(ask("gateways"), 0);
	assert_output("office   203.0.113.8-203.0.113.9    -     Unassigned");
	assert_output("office   203.0.113.10               gw1   Carried");
	assert_output("office   203.0.113.11-203.0.113.15  -     Unassigned");
	assert_output("office   2001:db8::1                -     Unassigned");
}

static void
an_object_that_no_parser_takes_is_listed_and_one_that_cannot_be_read_is_named(void **state)
{
	serve(usual);
	assert_int_equal(ask("policies"), 0);
	assert_output("shop/odd");
	assert_output("?");
	assert_output("left out, as it cannot be read: ");
	assert_int_equal(ask("bindings -o wide"), 1); /* without SluiceConfig: what is inside? */
	assert_output("cluster CIDRs are unknown");
	assert_int_equal(ask("bindings -o wide --cluster-cidr 10.0.0.0/8"), 0);
	assert_output("EgressPolicy shop/odd: ");
	assert_output("elsewhere/p");
}

static void a_node_that_only_a_pod_tells_of_is_there(void **state)
{
	serve(usual);
	assert_int_equal(ask("status"), 3);
	assert_output("ghost  ?      not ready: ?       1.0-9-gabc");
	assert_output("other  ?      not ready: ?       -"); /* the init container's is another */
	assert_output("gw1    ?      none");
	assert_output("w      ready  not on its system");
	assert_output("nobody writes it");
	assert_output("policies    1, 0 in force, 1 not judged yet");
	assert_output("gateways    1, 0 in force, 1 not judged yet");
	assert_null(strstr(run_output, "(null)"));
	assert_int_equal(ask("status -o wide"), 3);
	assert_output("1.0-9-gabc  latest ");
	assert_output("-           sha256:12");
}

static void a_server_that_is_busy_is_asked_again(void **state)
{
	serve(usual);
	busy = 2;
	assert_int_equal(ask("gateways"), 0);
	assert_output("203.0.113.10");
}

static void crds_that_are_not_there_are_said(void **state)
{
	static const char *const verbs[] = {"status", "gateways", "policies", "bindings",
					    "explain a/b 192.0.2.1"};

	serve(without_crds);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		assert_int_equal(ask(verbs[i]), 1);
		assert_output("its CRDs are not installed");
	}
}

static void an_answer_that_is_no_api_s_is_said(void **state)
{
	serve(no_json);
	assert_int_equal(ask("gateways"), 1);
	assert_output("text/html instead of JSON");
}

static void a_server_that_is_not_there_is_said_at_once(void **state)
{
	serve(usual);
	fake_api_stop(api);
	api = NULL;
	assert_int_equal(ask("gateways"), 1);
	assert_output(
		"kubectl sluice: GET /apis/sluice.dev/v1alpha1/egressgateways: https://127.0.0.1");
}

static void what_a_bundle_has_no_room_for_is_said_and_the_rest_is_json(void **state)
{
	serve(crowded);
	assert_int_equal(ask("support-bundle out.tar.gz"), 0);
	assert_output("without what follows the first 41 of its list");
	assert_int_equal(run_shell("mkdir x && tar -C x --strip-components=1 -xzf out.tar.gz"), 0);
	assert_int_equal(run_shell("jq -r 'length, .[40].metadata.name' x/egresspolicies.json"), 0);
	assert_string_equal(run_output, "41\np40\n");
	assert_int_equal(run_shell("jq -r '.[] | select(.leftOut).name' x/contents.json"), 0);
	assert_string_equal(run_output, "egresspolicies.json\n");
}

/* ---- by way of kubectl ---- */

#define KUBECTL                                                                                    \
	"#!/bin/sh\n"                                                                              \
	"case $* in\n"                                                                             \
	"'get --raw /apis/sluice.dev/v1alpha1/egressgateways?limit=500&continue=a%2Fb'*)\n"        \
	"echo '" LIST(                                                                             \
		"{\"metadata\": {\"name\": \"second\"}}") "' ;;\n"                                 \
							  "*egressgateways*) echo "                \
							  "'{\"metadata\": {\"continue\": "        \
							  "\"a/b\"}, \"items\": [" GATEWAY         \
							  "]}' ;;\n"                               \
							  "*egresspolicies*) echo 'Error from "    \
							  "server (Forbidden): egresspolicies is " \
							  "forbidden: User' >&2\n"                 \
							  "exit 1 ;;\n"                            \
							  "*server*) printf https://cloud.test "   \
							  ";;\n"                                   \
							  "*) echo 'Error from server "            \
							  "(NotFound): the server could not find " \
							  "the requested resource' >&2\n"          \
							  "exit 1 ;;\n"                            \
							  "esac\n"

static void a_kubeconfig_with_a_plug_in_is_asked_by_kubectl(void **state)
{
	run_put("config",
		"current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
		"clusters: [{name: c, cluster: {server: 'https://cloud.test'}}]\n"
		"users: [{name: u, user: {exec: {command: cloud}}}]\n");
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(ask("gateways"), 1);
	assert_output("users[0].user.exec: plug-ins are not run");
	setenv("PATH", "/usr/bin:/bin", 1);
	run_put("kubectl", KUBECTL);
	assert_int_equal(run_shell("chmod +x kubectl"), 0);
	setenv("PATH", run_folder, 1);
	assert_int_equal(ask("gateways"), 0);
	assert_output("office   203.0.113.10               gw1   Carried");
	assert_output("second: no daemon has judged it yet");
	assert_int_equal(ask("policies"), 1);
	assert_output("kubectl sluice: egresspolicies is forbidden: User");
	assert_output("ClusterRole sluice-kubectl");
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, run_folder_make, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(addresses_that_nobody_carries_are_one_line),
		TEST(an_object_that_no_parser_takes_is_listed_and_one_that_cannot_be_read_is_named),
		TEST(a_node_that_only_a_pod_tells_of_is_there),
		TEST(a_server_that_is_busy_is_asked_again),
		TEST(crds_that_are_not_there_are_said),
		TEST(an_answer_that_is_no_api_s_is_said),
		TEST(a_server_that_is_not_there_is_said_at_once),
		TEST(what_a_bundle_has_no_room_for_is_said_and_the_rest_is_json),
		TEST(a_kubeconfig_with_a_plug_in_is_asked_by_kubectl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
