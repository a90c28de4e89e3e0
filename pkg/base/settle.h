/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Memory of a process that lives for long and does little: what a start or a large input needed
 * for a moment goes back to the system.
 */

/* Before the first large allocation: large blocks are the system's again once they are freed. */
void settle_begin(void);
/* When it is quiet: freed memory, and pages of programs and libraries; what is used is back at the
 * next touch. */
void settle(void);
