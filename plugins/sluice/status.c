/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STATUS fails only when ADD could not work: kubelet asks every few seconds and
 * takes the node out of service on a failure, so whatever ADD can repair or do
 * without (no daemon, no snapshot yet) is no reason.
 */
#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "once.h"
#include "plugin.h"
#include "snapshot.h"
#include "state/socket.h"

#define STATUS_TIMEOUT_MS 1000

static bool daemon_lives(const struct plugin *p)
{
	__cleanup_json struct json *question = json_new_object();
	__cleanup_json struct json *answer = NULL;

	json_set(question, "v", json_new_int(1));
	json_set(question, "op", json_new_string("status"));
	return socket_ask(p->conf->run_dir, question, STATUS_TIMEOUT_MS, &answer, NULL) == 0;
}

/* What ADD does without a daemon and without running anything. */
static bool snapshot_serves(const struct plugin *p, struct err *e)
{
	struct bpf_pins *pins;
	struct snapshot s;

	if (snapshot_open(&s, p->conf->state_dir, e) < 0)
		return false;
	snapshot_close(&s);
	if (bpf_pins_open(p->conf->bpffs, &pins, e) < 0)
		return false;
	bpf_pins_close(pins);
	return true;
}

/* ADD writes a record and takes a lock: the folders are there or can be made, and can be written
 * to. */
static bool folders_usable(struct plugin *p, struct err *e)
{
	__cleanup_free char *records = mem_printf("%s/attachments", p->conf->state_dir);
	__cleanup_free char *locks = mem_printf("%s/locks", p->conf->run_dir);
	const char *const paths[] = {records, locks};

	if (plugin_open(p, e))
		return false;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (access(paths[i], W_OK) < 0) {
			err_sys(e, -errno, "%s", paths[i]);
			return false;
		}
	}
	return true;
}

int verb_status(struct plugin *p, struct err *e)
{
	__cleanup_free char *binary = NULL;
	struct err why = {0};

	if (!folders_usable(p, e))
		return CNI_UNAVAILABLE;
	if (p->conf->fail_open || daemon_lives(p) || snapshot_serves(p, &why))
		return 0;
	binary = once_binary(p->conf);
	if (binary)
		return 0;
	return err_set(e, CNI_UNAVAILABLE,
		       "no daemon answers in %s, there is no sluiced to run, and: %s",
		       p->conf->run_dir, why.msg);
}
