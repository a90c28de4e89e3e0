/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sluice was uninstalled on this node and somebody calls its plugin all the same: pods
 * must start without it and end as ever. What is left of an attachment goes with its DEL.
 */
#include "base/log.h"
#include "cni/result.h"
#include "plugin.h"

static int pass(struct plugin *p, struct err *e)
{
	__cleanup_free char *text = NULL;
	int r;

	if (!p->req.prev)
		return err_set(e, CNI_INVALID_CONFIG,
			       "must be called as a chained plugin: missing prevResult");
	log_warn("uninstalled: the pod passes", "container=%s", log_quote(p->req.env.container_id));
	text = cni_result_emit(p->req.prev, p->req.version);
	r = reply_print(text);
	return r == 0 ? 0 : err_set(e, CNI_IO_FAILURE, "write stdout");
}

int verb_retired(struct plugin *p, struct err *e)
{
	switch (p->req.verb) {
	case CNI_ADD:
		return pass(p, e);
	case CNI_DEL:
		return verb_del(p, e);
	case CNI_GC:
		return verb_gc(p, e);
	default:
		return 0;
	}
}
