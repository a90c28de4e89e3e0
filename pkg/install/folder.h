/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The folder of network configurations (/etc/cni/net.d), read and written. */
#include "install/chain.h"

/*
 * Reads the files that libcni would look at, sorted by name. One that cannot be read is among
 * them, without a text and with its error. 0, or -errno of the folder; ret is then as it was.
 * The caller ends it with chain_dir_done.
 */
int chain_dir_load(const char *path, struct chain_dir *ret, struct err *e);

/*
 * Makes CHAIN_FILE in the folder path hold text, or takes it away (0 when it is not there). It is
 * replaced whole (atomic_file.h) and has mode 0600: the list that it is a copy of may hold a
 * secret. 0 or -errno, with what can be done about it in the message.
 */
int chain_file_store(const char *path, const char *text, struct err *e);
int chain_file_remove(const char *path, struct err *e);

/*
 * Waits up to five seconds until the caller is the only writer of the folder (flock, until dirfd is
 * closed): two would share a temporary name. path is for the message. 0 or -errno.
 */
int folder_lock(int dirfd, const char *path, struct err *e);

/* What to do about -errno code, for the end of a message: " (make room)"; "" if nothing is known.
 */
const char *folder_cure(int code);
