/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/addr_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct addr addr_of(const char *text)
{
	struct addr a = {0};

	if (addr_parse(text, &a) != 0)
		fail_msg("not an address: %s", text);
	return a;
}

struct cidr cidr_of(const char *text)
{
	struct cidr c = {0};

	if (cidr_parse(text, &c) != 0)
		fail_msg("not a prefix: %s", text);
	return c;
}
