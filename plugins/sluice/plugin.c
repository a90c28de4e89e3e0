/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "attachment.h"
#include "base/log.h"
#include "base/mem.h"

int plugin_open(struct plugin *p, struct err *e)
{
	int r = 0;

	if (!p->journal)
		r = journal_open(p->conf->state_dir, p->conf->run_dir, &p->journal, e);
	return r < 0 ? (int)cni_code_from(r, CNI_STATE) : 0;
}

int plugin_lock(struct plugin *p, const char *container_id, const char *ifname, int *ret_fd,
		struct err *e)
{
	int r;

	r = journal_lock(p->journal, container_id, ifname, LOCK_TIMEOUT_MS, ret_fd, e);
	return r < 0 ? (int)cni_code_from(r, CNI_STATE) : 0;
}

bool plugin_has_state(const struct plugin *p)
{
	__cleanup_free char *path = mem_printf("%s/attachments", p->conf->state_dir);

	return access(path, F_OK) == 0 || errno != ENOENT;
}

/* An index of an earlier boot is somebody else's by now; without pinned objects nothing of ours is
 * left. */
static int kernel_undo(struct plugin *p, const struct record *rec,
		       int (*undo)(struct bpf_pins *, const struct dp_attachment *, struct err *),
		       struct err *e)
{
	__cleanup(bpf_pins_closep) struct bpf_pins *pins = NULL;
	struct dp_attachment a;
	int r;

	if (rec->kind != ATTACH_NONE && rec->boot_id && !*journal_boot_id())
		return err_set(e, -EIO, BOOT_ID_UNREAD);
	if (rec->kind == ATTACH_NONE || !rec->boot_id ||
	    strcmp(rec->boot_id, journal_boot_id()) != 0)
		return 0;
	r = bpf_pins_open(p->conf->bpffs, &pins, e);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	a = attachment_dp(rec);
	r = undo(pins, &a, e);
	if (r != -ENOENT)
		return r;
	log_warn("not undone in the kernel", "error=%s", log_quote(e ? e->msg : ""));
	return 0; /* somebody removed the pin: nothing can be reached any more, the daemon mends it
		   */
}

int attachment_kernel_undo(struct plugin *p, const struct record *rec, struct err *e)
{
	return kernel_undo(p, rec, dp_detach, e);
}

int attachment_undo(struct plugin *p, const struct record *rec, struct err *e)
{
	int r;

	/* the chain removes the interface after us: until then the pod may still send */
	r = kernel_undo(p, rec, dp_close, e);
	if (r < 0)
		return cni_code_from(r, CNI_DATAPLANE);
	r = journal_remove(p->journal, rec->container_id, rec->ifname, e);
	if (r == -EROFS) { /* or the runtime would keep the pod for ever; the daemon collects it */
		log_error("record stays", "error=%s", log_quote(e ? e->msg : ""));
		return 0;
	}
	if (r < 0)
		return cni_code_from(r, CNI_STATE);
	journal_lock_remove(p->journal, rec->container_id, rec->ifname);
	return 0;
}
