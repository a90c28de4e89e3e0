/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The plugin's parts. A verb returns 0 or a positive enum cni_code with the
 * message in e; main.c alone prints errors.
 */
#include <stdbool.h>

#include "bpf/maps.h"
#include "cni/error.h"
#include "cni/request.h"
#include "config/plugin_conf.h"
#include "state/journal.h"

DEFINE_CLEANUP(struct bpf_pins *, bpf_pins_close);

#define BOOT_ID_UNREAD "/proc/sys/kernel/random/boot_id cannot be read: is /proc mounted?"

#define LOCK_TIMEOUT_MS	  20000
#define DAEMON_TIMEOUT_MS 2000
#define ONCE_TIMEOUT_MS	  30000

struct plugin {
	struct cni_request req;
	struct plugin_conf *conf;
	struct journal *journal; /* opened by the verbs that need it */
	char *details;		 /* of an error: what does not fit one line */
};

int verb_add(struct plugin *p, struct err *e);
int verb_del(struct plugin *p, struct err *e);
int verb_check(struct plugin *p, struct err *e);
int verb_gc(struct plugin *p, struct err *e);
int verb_status(struct plugin *p, struct err *e);
int verb_version(struct plugin *p, struct err *e);
/* Any verb but VERSION, after `sluiced uninstall` (state/retired.h). */
int verb_retired(struct plugin *p, struct err *e);

/* text and a newline on stdout, whole; 0 or -errno. */
int reply_print(const char *text);

/* Opens the state folder (makes it when it is not there). 0 or an enum cni_code. */
int plugin_open(struct plugin *p, struct err *e);
/* The attachment's lock; close to release. plugin_open() before. 0 or an enum cni_code. */
int plugin_lock(struct plugin *p, const char *container_id, const char *ifname, int *ret_fd,
		struct err *e);
/* Whether there is a state folder at all: without one there is nothing to undo. */
bool plugin_has_state(const struct plugin *p);

/* What the record says is in the kernel, out of it. 0 or -errno. */
int attachment_kernel_undo(struct plugin *p, const struct record *rec, struct err *e);
/* Kernel, then record, then lock file; call with the lock held. 0 or an enum cni_code. */
int attachment_undo(struct plugin *p, const struct record *rec, struct err *e);
