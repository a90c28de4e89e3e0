/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "state/record.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct record *example(void)
{
	struct record *r = mem_alloc0(sizeof(*r));

	r->container_id = mem_strdup("0a1b2c");
	r->ifname = mem_strdup("eth0");
	r->network = mem_strdup("lab");
	r->netns = mem_strdup("/var/run/netns/x");
	r->netns_id = 4026532200;
	r->namespace = mem_strdup("shop");
	r->pod = mem_strdup("web \"1\"");
	r->labels = mem_strdup("{\"app\":\"web\"}");
	r->kind = ATTACH_MACVLAN;
	r->ifindex = UINT32_MAX;
	snprintf(r->host_ifname, sizeof(r->host_ifname), "abcdefghijklmno");
	memcpy(r->mac, "\x02\x00\xfe\x01\x02\x03", 6);
	addr_parse("10.0.0.1", &r->addrs[0]);
	addr_parse("fd00::1", &r->addrs[1]);
	r->prefix_lens[1] = 64;
	r->n_addrs = 2;
	r->policy = 7;
	r->key = UINT64_MAX;
	r->spread = 0x80000000;
	r->flags = 2;
	r->boot_id = mem_strdup("5f0c");
	r->added_at = 1700000000;
	return r;
}

static void reads_back_what_it_wrote(void **state)
{
	__cleanup(record_freep) struct record *a = example();
	__cleanup(record_freep) struct record *b = NULL;
	__cleanup_free char *text = record_emit(a);
	struct err e = {0};

	if (record_parse(text, strlen(text), &b, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	assert_string_equal(b->container_id, a->container_id);
	assert_string_equal(b->pod, a->pod);
	assert_string_equal(b->labels, a->labels);
	assert_string_equal(b->host_ifname, a->host_ifname);
	assert_string_equal(b->boot_id, a->boot_id);
	assert_null(b->uid);
	assert_memory_equal(b->mac, a->mac, 6);
	assert_memory_equal(b->addrs, a->addrs, sizeof(a->addrs));
	assert_int_equal(b->n_addrs, 2);
	assert_int_equal(b->prefix_lens[0], 0);
	assert_int_equal(b->prefix_lens[1], 64);
	assert_int_equal(b->kind, ATTACH_MACVLAN);
	assert_int_equal(b->ifindex, UINT32_MAX);
	assert_int_equal(b->netns_id, a->netns_id);
	assert_true(b->key == UINT64_MAX);
	assert_int_equal(b->spread, 0x80000000);
	assert_int_equal(b->added_at, 1700000000);
}

static void skips_members_it_does_not_know(void **state)
{
	static const char text[] = "{\"version\":1,\"containerID\":\"a\",\"ifname\":\"eth0\","
				   "\"kind\":\"none\",\"later\":{\"x\":[1]}}";
	__cleanup(record_freep) struct record *r = NULL;

	assert_int_equal(record_parse(text, sizeof(text) - 1, &r, NULL), 0);
	assert_int_equal(r->kind, ATTACH_NONE);
	assert_null(r->labels);
}

static void leaves_a_newer_version_alone(void **state)
{
	static const char text[] = "{\"version\":2,\"containerID\":7}";
	struct record *r = NULL;
	struct err e = {0};

	assert_int_equal(record_parse(text, sizeof(text) - 1, &r, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "newer"));
}

static void refuses_what_is_no_record(void **state)
{
#define HEAD "{\"version\":1,\"containerID\":\"a\",\"ifname\":\"eth0\",\"kind\":\"veth\""
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"{\"version\":0}",
		"{\"version\":1,\"ifname\":\"eth0\",\"kind\":\"veth\"}",
		"{\"version\":1,\"containerID\":\"a\",\"ifname\":\"eth0\",\"kind\":\"tap\"}",
		HEAD ",\"ifindex\":-1}",
		HEAD ",\"ifindex\":4294967296}",
		HEAD ",\"ifindex\":\"3\"}",
		HEAD ",\"key\":12}",
		HEAD ",\"key\":\"12\"}",
		HEAD ",\"key\":\"0x00000000000000\"}",
		HEAD ",\"mac\":\"02:00\"}",
		HEAD ",\"mac\":\"02:00:00:00:00:0g\"}",
		HEAD ",\"addresses\":[\"10.0.0\"]}",
		HEAD ",\"addresses\":[\"::1\",\"::1\",\"::1\",\"::1\",\"::1\",\"::1\",\"::1\","
		     "\"::1\",\"::1\"]}",
		HEAD ",\"addresses\":[\"10.0.0.1\"],\"prefixLengths\":[33]}",
		HEAD ",\"hostIfname\":\"abcdefghijklmnop\"}",
		HEAD ",\"labels\":[]}",
		HEAD "} {}",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct record *r = NULL;
		struct err e = {0};

		if (record_parse(texts[i], strlen(texts[i]), &r, &e) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_null(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back_what_it_wrote),
		cmocka_unit_test(skips_members_it_does_not_know),
		cmocka_unit_test(leaves_a_newer_version_alone),
		cmocka_unit_test(refuses_what_is_no_record),
	};

	return cmocka_run_group_tests_name("state/record", tests, NULL, NULL);
}
