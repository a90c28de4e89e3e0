/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Memory of a process that lives for long and does little: what a start or a large input needed
 * for a moment goes back to the system.
 */

/*
 * Call it once, before the first large allocation. It sets malloc so that a large block goes back
 * to the system as soon as it is freed, and so that all threads share one heap.
 */
void settle_begin(void);
/*
 * Call it when there is nothing to do. Gives freed memory back to the system, and the pages of
 * programs and libraries that are mapped; those still in use are read in again when touched.
 */
void settle(void);
