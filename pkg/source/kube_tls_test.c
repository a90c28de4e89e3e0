/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a client trusts, and who it says that it is. */
#include "source/kube.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "source/kube_priv.h"
#include "testkit/fake_world.h"
#include "testkit/netns_fixture.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct fake_world w;

static int stop(void **state)
{
	fake_world_stop(&w);
	return 0;
}

static void whoever_is_not_our_server_gets_no_token(void **state)
{
	static const struct {
		struct fake_faults faults;
		const char *words;
	} cases[] = {
		{{.wrong_name = true}, "no alternative certificate subject name matches"},
		{{.expired = true}, "certificate has expired"},
		{{.old_tls = true}, "protocol version"},
		{{.plain = true}, "wrong version number"},
	};

	for (size_t i = 0; i < N(cases); i++) {
		fake_world_start(&w, &cases[i].faults, fake_echo, NULL);
		fake_world_call(&w, &(struct kube_request){.path = "/x"});
		if (w.status != 0 || w.e.code != -EPROTO || !strstr(w.e.msg, cases[i].words))
			fail_msg("%s: %d %d %s", cases[i].words, w.status, w.e.code, w.e.msg);
		assert_int_equal(fake_api_requests(w.api), 0);
		fake_world_stop(&w);
	}
}

static void trust_another_ca(struct kube_conf *c)
{
	struct fake_api *other = fake_api_start(NULL, fake_echo, NULL);

	free(c->ca.data);
	c->ca.data = mem_strdup(fake_api_ca(other));
	c->ca.len = strlen(c->ca.data);
	fake_api_stop(other);
}

static void trust_the_machine(struct kube_conf *c)
{
	free(c->ca.data);
	c->ca = (struct kube_pem){0};
}

static void nobody_is_trusted_but_the_ca_of_the_configuration(void **state)
{
	fake_world_start(&w, NULL, fake_echo, NULL);
	fake_world_reconfigure(&w, trust_another_ca);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.status, 0);
	assert_non_null(strstr(w.e.msg, "certificate"));
	assert_int_equal(w.e.code, -EPROTO);
	fake_world_reconfigure(&w, trust_the_machine);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.status, 0);
	assert_non_null(strstr(w.e.msg, "certificate"));
	assert_int_equal(fake_api_requests(w.api), 0);
}

static void by_another_name(struct kube_conf *c)
{
	c->tls_name = mem_strdup("kubernetes.test");
}

static void the_certificate_may_be_in_another_name(void **state)
{
	struct fake_faults f = {.wrong_name = true};

	fake_world_start(&w, &f, fake_echo, NULL);
	fake_world_reconfigure(&w, by_another_name);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_string_equal(w.e.msg, "");
	assert_int_equal(w.status, 200);
}

static char dir[64];

static void store(const char *name, const char *text)
{
	__cleanup_free char *path = mem_printf("%s/%s", dir, name);
	__cleanup_file FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static int start_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/kube-call-test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int stop_dir(void **state)
{
	sh("rm -rf %s", dir);
	return stop(state);
}

static void with_files(struct kube_conf *c)
{
	trust_the_machine(c);
	free(TAKE(c->token));
	c->ca.file = mem_printf("%s/ca", dir);
	c->token_file = mem_printf("%s/token", dir);
	c->cert.file = mem_printf("%s/client", dir);
	c->key.file = mem_printf("%s/client", dir);
}

static void what_stands_in_files_is_read_when_it_is_needed(void **state)
{
	struct fake_faults f = {.need_client = true};
	__cleanup_free char *client = NULL;

	fake_world_start(&w, &f, fake_echo, NULL);
	client = fake_api_client(w.api, "node-1");
	fake_world_reconfigure(&w, with_files);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.status, 0);
	assert_non_null(strstr(w.e.msg, "/token"));
	store("token", "first\n");
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.status, 0);
	store("ca", fake_api_ca(w.api));
	store("client", client);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_string_equal(w.e.msg, "");
	assert_non_null(strstr(w.body, "\"token\":\"first\""));
	assert_non_null(strstr(w.body, "\"user\":\"node-1\""));
	store("token", "second\n");
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_non_null(strstr(w.body, "\"token\":\"second\""));
}

static void with_certificate(struct kube_conf *c)
{
	char *pem = fake_api_client(w.api, "node-2");

	c->cert = (struct kube_pem){.data = pem, .len = strlen(pem)};
	c->key = (struct kube_pem){.data = mem_strdup(pem), .len = strlen(pem)};
}

static void a_client_certificate_says_who_we_are(void **state)
{
	struct fake_faults f = {.need_client = true};

	fake_world_start(&w, &f, fake_echo, NULL);
	fake_world_reconfigure(&w, NULL);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_int_equal(w.status, 0);
	fake_world_reconfigure(&w, with_certificate);
	fake_world_call(&w, &(struct kube_request){.path = "/x"});
	assert_non_null(strstr(w.body, "\"user\":\"node-2\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(whoever_is_not_our_server_gets_no_token, stop),
		cmocka_unit_test_teardown(nobody_is_trusted_but_the_ca_of_the_configuration, stop),
		cmocka_unit_test_teardown(the_certificate_may_be_in_another_name, stop),
		cmocka_unit_test_setup_teardown(what_stands_in_files_is_read_when_it_is_needed,
						start_dir, stop_dir),
		cmocka_unit_test_teardown(a_client_certificate_says_who_we_are, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
