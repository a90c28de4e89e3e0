/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps our list the copy of the main one, while the daemon runs: whenever something in
 * the folder changes, and every few seconds, so that nothing depends on an event having
 * been heard. Writes only what differs. It never removes anything.
 */
#include "base/cleanup.h"
#include "config/daemon_conf.h"
#include "loop/loop.h"

struct keeper;

/* conf is borrowed; its cni_conf_dir must be set, and may not be there yet. Looks at once. */
int keeper_new(struct loop *l, const struct daemon_conf *conf, struct keeper **ret, struct err *e);
void keeper_free(struct keeper *k);
