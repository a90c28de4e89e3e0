/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What of this node's kernel concerns Sluice, read by the doors that the daemon reads it by. */
#include "config/daemon_conf.h"
#include "json/json.h"
#include "state/record.h"

/* Never fails: what could not be read has an "error" in its place. */
struct json *kernel_json(const struct daemon_conf *conf, struct record *const *records, size_t n);
