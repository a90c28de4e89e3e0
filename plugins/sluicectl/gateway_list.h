/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Egress addresses and who carries them, as the daemon of a node tells it or as the objects of a
 * cluster do. A row is {gateway, address, node, state, since, problem} and whatever else is known:
 * interface, from, connections, portsUsed, portsLimit, announced.
 */
#include "ctl.h"

void gateway_rows_print(const struct json *rows, bool wide);
/* "203.0.113.7 from gw1 to gw2 3m ago, gap 310ms"; NULL: there was none. Malloc'd. */
char *failover_text(const struct json *last);
