/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile/drain.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/log.h"
#include "reconcile/priv.h"

#define DRAINED "drained"

bool drain_load(int state_fd)
{
	return faccessat(state_fd, DRAINED, F_OK, 0) == 0;
}

static int drain_store(int state_fd, bool drained, struct err *e)
{
	if (drained)
		return atomic_file_store(state_fd, DRAINED, "", 0, 0644, e);
	return atomic_file_remove(state_fd, DRAINED, e);
}

struct json *reconcile_drain(struct reconcile *r, const struct json *request)
{
	struct json *o = json_new_object();
	struct err e = {0};
	bool on;
	int rc = json_bool(json_get(request, "on"), &on, &e);

	if (rc == 0)
		rc = drain_store(journal_state_dirfd(r->journal), on, &e);
	json_set(o, "v", json_new_int(1));
	json_set(o, "ok", json_new_bool(rc == 0));
	if (rc < 0) {
		json_set(o, "error", json_new_string(e.msg));
		return o;
	}
	if (r->drained != on)
		log_info(on ? "drained" : "drained no longer", "node=%s", r->node_name);
	r->drained = on;
	return o;
}
