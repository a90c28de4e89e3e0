/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of scrape.c share: each writes its part, in the order of metrics/table.h. */
#include "metrics/text.h"
#include "reconcile/priv.h"
#include "reconcile/scrape.h"

void scrape_policies(const struct reconcile *r, struct metrics_text *t);
void scrape_gateways(const struct reconcile *r, struct metrics_text *t);
