/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "reconcile/priv.h"

struct fixture {
	char dir[64];
	char *state_dir, *run_dir, *lock;
	struct record rec;
	struct pod pod;
	struct reconcile r;
	struct dp_pod want;
	struct dp_gate gate;
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int setup(void **state)
{
	struct fixture *f = mem_alloc0(sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/sluice-pods-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->state_dir = mem_printf("%s/state", f->dir);
	f->run_dir = mem_printf("%s/run", f->dir);
	f->lock = mem_printf("%s/locks/c:eth0", f->run_dir);
	f->rec = (struct record){.kind = ATTACH_VETH, .ifindex = 7, .added_at = 100};
	f->rec.container_id = mem_strdup("c");
	f->rec.ifname = mem_strdup("eth0");
	f->pod = (struct pod){.rec = &f->rec};
	f->r.pods = &f->pod;
	f->r.n_pods = 1;
	f->want.a = (struct dp_attachment){.ifindex = 7};
	*state = f;
	pods_gate(&f->r, &f->gate);
	return journal_open(f->state_dir, f->run_dir, &f->r.journal, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pods_gate_done(&f->gate);
	journal_close(f->r.journal);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f->rec.container_id);
	free(f->rec.ifname);
	free(f->state_dir);
	free(f->run_dir);
	free(f->lock);
	free(f);
	return 0;
}

static int gate_try(struct fixture *f)
{
	const struct dp_step step = {.op = DP_POD_ATTACH, .arg = &f->want};

	return f->gate.open(&step, f->gate.data);
}

static void opens_for_a_record_as_it_was_read_and_holds_its_lock(void **state)
{
	struct fixture *f = *state;
	int lock = -1;

	assert_int_equal(journal_store(f->r.journal, &f->rec, NULL), 0);
	assert_int_equal(gate_try(f), 0);
	assert_true(journal_lock(f->r.journal, "c", "eth0", 0, &lock, NULL) < 0);
	f->gate.close(f->gate.data);
	assert_int_equal(journal_lock(f->r.journal, "c", "eth0", 0, &lock, NULL), 0);
	close(lock);
}

static void leaves_no_lock_of_an_attachment_deleted_since(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(gate_try(f), 1);
	assert_int_equal(access(f->lock, F_OK), -1);
}

static void stays_shut_for_an_attachment_added_anew(void **state)
{
	struct fixture *f = *state;
	int lock = -1;

	f->rec.added_at = 200;
	assert_int_equal(journal_store(f->r.journal, &f->rec, NULL), 0);
	f->rec.added_at = 100;
	assert_int_equal(gate_try(f), 1);
	assert_int_equal(access(f->lock, F_OK), 0);
	assert_int_equal(journal_lock(f->r.journal, "c", "eth0", 0, &lock, NULL), 0);
	close(lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			opens_for_a_record_as_it_was_read_and_holds_its_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(leaves_no_lock_of_an_attachment_deleted_since,
						setup, teardown),
		cmocka_unit_test_setup_teardown(stays_shut_for_an_attachment_added_anew, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("reconcile/pods", tests, NULL, NULL);
}
