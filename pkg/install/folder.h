/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The folder of network configurations (/etc/cni/net.d), read and written. */
#include "install/chain.h"

/* The files that libcni would look at. One that cannot be read is among them. */
int chain_dir_load(const char *path, const char *own, struct chain_dir *ret, struct err *e);

/*
 * name holds text: a temporary name that no runtime looks at, fsync, rename, fsync. 0600:
 * what it is a copy of may hold a secret.
 */
int chain_file_store(const char *path, const char *name, const char *text, struct err *e);
int chain_file_remove(const char *path, const char *name, struct err *e);

/* One writer at a time, until the descriptor is closed: two would share a temporary name. */
int folder_lock(int dirfd, const char *path, struct err *e);

/* What could be done about it, for the end of a message; "" when nothing is known. */
const char *folder_cure(int code);
