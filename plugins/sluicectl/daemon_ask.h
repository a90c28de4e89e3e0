/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A question to the daemon of this node. */
#include "ctl.h"

/* request: {"op": …}; v is added. 0 and the answer, which said ok; else e says why not. */
int daemon_ask(const struct ctl *ctl, struct json *request, struct json **ret, struct err *e);
/* {"op": op} */
int daemon_ask_op(const struct ctl *ctl, const char *op, struct json **ret, struct err *e);
