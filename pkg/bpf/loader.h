/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Loads the programs and pins them with their maps under dir/v<SLU_ABI>/: maps
 * that are pinned already are reused (their content stays in force), programs are
 * replaced. Mounts bpffs on dir's mount point (/sys/fs/bpf or dir itself) when it
 * is not there. Idempotent: when the pinned programs are of this very build (tag)
 * nothing is loaded. Needs CAP_BPF and CAP_NET_ADMIN; says so when missing.
 */
#include <stdbool.h>

#include "base/err.h"

int bpf_load(const char *dir, struct err *e);
int bpf_unload(const char *dir, struct err *e); /* uninstall: unpins everything of ours */
/* What other versions have pinned beside us. Programs of theirs that are attached stay so. */
int bpf_unload_others(const char *dir, struct err *e);
/* Whether all of our maps and programs are pinned there. */
bool bpf_pins_whole(const char *dir);
struct bpf_pins;
const char *bpf_pins_folder(const struct bpf_pins *p); /* with the version */

/* In between libbpf prints nothing; the second one tells the first of its warnings, "" = none. */
void bpf_warnings_keep(void);
const char *bpf_warnings_end(void);
