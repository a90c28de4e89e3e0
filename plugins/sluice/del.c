/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DEL works from the record alone: no namespace, no prevResult, no daemon. What
 * it never added, or has removed before, is a success; so is a record that cannot
 * be read, since an error here would keep the runtime from giving back the pod's
 * address, for ever.
 */
#include <errno.h>

#include "base/log.h"
#include "plugin.h"

static int unreadable(struct plugin *p, int code, const struct err *why, struct err *e)
{
	const struct cni_env *env = &p->req.env;
	int r;

	log_error("record not readable", "error=%s", log_quote(why->msg));
	if (code != -EBADMSG)
		return 0; /* of a newer version: its daemon collects it */
	r = journal_remove(p->journal, env->container_id, env->ifname, e);
	return r < 0 ? (int)cni_code_from(r, CNI_STATE) : 0;
}

int verb_del(struct plugin *p, struct err *e)
{
	__cleanup(record_freep) struct record *rec = NULL;
	const struct cni_env *env = &p->req.env;
	__cleanup_close int lock = -1;
	struct err why = {0};
	int r;

	if (!plugin_has_state(p))
		return 0;
	r = plugin_open(p, e);
	if (r == 0)
		r = plugin_lock(p, env->container_id, env->ifname, &lock, e);
	if (r)
		return r;
	r = journal_load(p->journal, env->container_id, env->ifname, &rec, &why);
	if (r == 0)
		return attachment_undo(p, rec, e);
	if (r == -EBADMSG || r == -EPROTO)
		r = unreadable(p, r, &why, e);
	else if (r == -ENOENT) /* and what an ADD that was killed had begun to write */
		r = journal_remove(p->journal, env->container_id, env->ifname, e) < 0 ? CNI_STATE
										      : 0;
	else
		r = (int)cni_code_from(r, CNI_STATE);
	if (r == 0)
		journal_lock_remove(p->journal, env->container_id, env->ifname);
	else if (!e->code)
		*e = why;
	return r;
}
