/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node that is drained has no egress address that another one may have: they go there, with
 * their connections. It is so until it is told otherwise, over restarts too: the file
 * "drained" in stateDir says it by being there.
 */
#include <stdbool.h>

bool drain_load(int state_fd);
