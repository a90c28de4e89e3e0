/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * `sluiced --once`: compiles the policy folder and the records, makes the kernel
 * so, leaves a snapshot, exits. The plugin runs it when there is no daemon and
 * something node-wide is missing, so that there is one code for that.
 */
#include "config/plugin_conf.h"

/* The daemon binary: conf->sluiced, else beside the plugin, else where the build installs it.
 * malloc'd, NULL = none. */
char *once_binary(const struct plugin_conf *conf);

/* There is none, or it failed or was too slow: the caller may go on without. */
#define ONCE_FAILED 1

/*
 * Runs it, at most timeout_ms. Call under journal_lock_node(). 0; ONCE_FAILED with the
 * end of its stderr; -errno when it could not be started or watched.
 */
int once_run(const struct plugin_conf *conf, int timeout_ms, struct err *e);
