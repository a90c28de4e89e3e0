/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "cni/result.h"

#define MAX 3

/* The addresses of eth0 as "a b c", or the errno as text. */
static char *addrs_of(const char *text)
{
	__cleanup_json struct json *prev = NULL;
	struct cni_ip ips[MAX] = {0};
	char *out = mem_strdup("");
	size_t n = 0;
	int r;

	assert_int_equal(json_parse(text, strlen(text), &prev, NULL), 0);
	r = cni_result_addrs(prev, "eth0", ips, MAX, &n, NULL);
	if (r < 0) {
		free(out);
		return mem_printf("%d", r);
	}
	for (size_t i = 0; i < n; i++) {
		char *more = mem_printf("%s%s%s/%u", out, i ? " " : "", addr_str(ips[i].addr),
					ips[i].prefix_len);

		free(out);
		out = more;
	}
	return out;
}

#define IFACES                                                      \
	"\"interfaces\":[{\"name\":\"cni0\"},{\"name\":\"veth1\"}," \
	"{\"name\":\"eth0\",\"sandbox\":\"/n\"},{\"name\":\"net1\",\"sandbox\":\"/n\"}]"

static void takes_the_addresses_of_its_interface(void **state)
{
	static const struct {
		const char *text, *addrs;
	} rows[] = {
		{"{" IFACES ",\"ips\":[{\"address\":\"10.0.0.2/24\",\"interface\":2},"
		 "{\"address\":\"fd00::2/64\",\"interface\":2}]}",
		 "10.0.0.2/24 fd00::2/64"},
		/* 0.3.x and 0.4.0 */
		{"{" IFACES ",\"ips\":[{\"version\":\"4\",\"address\":\"10.0.0.2/24\","
		 "\"interface\":2}]}",
		 "10.0.0.2/24"},
		/* another interface of the pod */
		{"{" IFACES ",\"ips\":[{\"address\":\"10.0.0.2/24\",\"interface\":2},"
		 "{\"address\":\"10.9.0.2/24\",\"interface\":3}]}",
		 "10.0.0.2/24"},
		{"{" IFACES ",\"ips\":[{\"address\":\"10.9.0.2/24\",\"interface\":3}]}", ""},
		/* no index, an index to nowhere, no interfaces at all */
		{"{\"ips\":[{\"address\":\"10.0.0.2/24\"}]}", "10.0.0.2/24"},
		{"{" IFACES ",\"ips\":[{\"address\":\"10.0.0.2/24\",\"interface\":-1},"
		 "{\"address\":\"10.0.0.3/24\",\"interface\":9}]}",
		 "10.0.0.2/24 10.0.0.3/24"},
		/* said to be on the host side: only when nothing is on ours */
		{"{" IFACES ",\"ips\":[{\"address\":\"10.0.0.1/24\",\"interface\":0},"
		 "{\"address\":\"10.0.0.2/24\",\"interface\":2}]}",
		 "10.0.0.2/24"},
		{"{" IFACES ",\"ips\":[{\"address\":\"10.0.0.2/24\",\"interface\":1}]}",
		 "10.0.0.2/24"},
		/* the host has an interface of that name, too */
		{"{\"interfaces\":[{\"name\":\"eth0\"},{\"name\":\"eth0\",\"sandbox\":\"/n\"}],"
		 "\"ips\":[{\"address\":\"192.0.2.1/24\",\"interface\":0},"
		 "{\"address\":\"10.0.0.2/24\",\"interface\":1}]}",
		 "10.0.0.2/24"},
		/* keys in any case, the same address twice, a bare address */
		{"{\"IPs\":[{\"Address\":\"10.0.0.2\"},{\"Address\":\"10.0.0.2/24\"}]}",
		 "10.0.0.2/0"},
		{"{}", ""},
		{"{\"ips\":null}", ""},
		{"{\"ips\":{}}", "-22"},
		{"{\"ips\":[{}]}", "-22"},
		{"{\"ips\":[{\"address\":\"10.0.0/24\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"10.0.0.1/33\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"10.0.0.1/\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"::1/129\"}]}", "-22"},
		/* no host has these */
		{"{\"ips\":[{\"address\":\"0.0.0.0/24\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"::/64\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"127.0.0.1/8\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"::1/128\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"224.0.0.1/24\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"ff02::1/64\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"255.255.255.255/32\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"::1/ 8\"}]}", "-22"},
		{"{\"ips\":[{\"address\":\"::5\"},{\"address\":\"::2\"},{\"address\":\"::3\"},"
		 "{\"address\":\"::4\"}]}",
		 "-7"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		__cleanup_free char *addrs = addrs_of(rows[i].text);

		if (strcmp(addrs, rows[i].addrs))
			fail_msg("%s: '%s'", rows[i].text, addrs);
	}
}

static void passes_on_what_it_does_not_know(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"{\"cniVersion\":\"1.0.0\",\"z\":{\"n\":1.50},\"ips\":[{\"x\":null}],\"dns\":{}}",
		 "{\"cniVersion\":\"1.0.0\",\"z\":{\"n\":1.50},\"ips\":[{\"x\":null}],\"dns\":{}}"},
		{"{\"dns\":{},\"CNIVersion\":\"0.4.0\"}", "{\"dns\":{},\"cniVersion\":\"1.0.0\"}"},
		{"{}", "{\"cniVersion\":\"1.0.0\"}"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		__cleanup_json struct json *prev = NULL;
		__cleanup_free char *out = NULL;

		assert_int_equal(json_parse(rows[i].in, strlen(rows[i].in), &prev, NULL), 0);
		out = cni_result_emit(prev, "1.0.0");
		assert_string_equal(out, rows[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_addresses_of_its_interface),
		cmocka_unit_test(passes_on_what_it_does_not_know),
	};

	return cmocka_run_group_tests_name("cni/result", tests, NULL, NULL);
}
