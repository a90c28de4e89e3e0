/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * After `sluiced uninstall` a file in the state folder tells the plugin that Sluice is
 * not wanted on the node any more: whoever still calls it (a runtime for an earlier pod,
 * a list written by hand) is let through. The next sluiced, or sluiced install, removes it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

bool retired_get(const char *state_dir);
int retired_store(const char *state_dir, bool retired, struct err *e);

/*
 * Pods that were started through the plugin and are still there; without its DEL (a runtime
 * that has another list by now does not call it) a record outlives its pod.
 */
int state_count_pods(const char *state_dir, size_t *ret_n, struct err *e);
/*
 * Removes what Sluice wrote into its folders, by name, and nothing else: what belongs to
 * no pod; all: the records and locks of pods, too, and the folders where they are empty.
 */
int state_clear(const char *state_dir, const char *run_dir, bool all, struct err *e);
