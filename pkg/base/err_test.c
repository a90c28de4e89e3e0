/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

static void what_is_not_permitted_is_said_with_what_may_be_missing(void **state)
{
	struct err e = {0};

	assert_int_equal(err_sys(&e, -EPERM, "open %s", "x"), -EPERM);
	if (geteuid() == 0)
		assert_string_equal(e.msg,
				    "open x: Operation not permitted (to root: a capability "
				    "is missing, or seccomp, AppArmor or SELinux forbids it)");
	else
		assert_string_equal(e.msg, "open x: Operation not permitted (run as root)");
	err_sys(&e, -ENOENT, "open x");
	assert_string_equal(e.msg, "open x: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_permitted_is_said_with_what_may_be_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
