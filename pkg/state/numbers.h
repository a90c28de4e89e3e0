/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Small numbers that stand for names, the same ones after a restart: one file in stateDir
 * for each kind of names. A name keeps its number, needed or not, until the numbers run
 * out: then those that nobody holds are given out again, the longest given first.
 */
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct numbers;

/* Numbers 1..max-1. */
struct numbers *numbers_new(const char *file, uint32_t max);
void numbers_free(struct numbers *n);
DEFINE_CLEANUP(struct numbers *, numbers_free);
/* A missing file is an empty table; -EBADMSG when it cannot be read as ours. */
int numbers_load(int dirfd, const char *file, uint32_t max, struct numbers **ret, struct err *e);
/* Writes only what changed since it was loaded or stored. */
int numbers_store(struct numbers *n, int dirfd, struct err *e);

/* 0 = it has this one; 1 = it has it from now on; -ENOSPC = all are given out. */
int numbers_get(struct numbers *n, const char *name, uint32_t *ret);
uint32_t numbers_find(const struct numbers *n, const char *name);   /* 0 = none */
const char *numbers_name(const struct numbers *n, uint32_t number); /* NULL = nobody's */

/* After -ENOSPC: begin, then hold each number that is needed; sweep frees all the others. */
void numbers_begin(struct numbers *n);
void numbers_hold(struct numbers *n, uint32_t number);
void numbers_sweep(struct numbers *n);
