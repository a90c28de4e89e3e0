/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The daemon: passes on events and each second, the socket, signals. SIGTERM and
 * SIGINT end it and leave the data plane in force; SIGHUP looks at everything anew.
 */
#include "config/daemon_conf.h"

/* Returns when told to end. ready is called once, after the first pass. */
int daemon_run(const struct daemon_conf *conf, void (*ready)(void), struct err *e);
/* Passes until nothing is left to do. 0 = the kernel is right. */
int daemon_once(const struct daemon_conf *conf, struct err *e);
/* Nobody else is at work in the runDir while *ret_fd is open; -EBUSY. */
int daemon_alone(const struct daemon_conf *conf, int *ret_fd, struct err *e);
