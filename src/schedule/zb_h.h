/* What the two handcrafted zero-bubble schedules share. */
#ifndef YKI_SCHEDULE_ZB_H_H
#define YKI_SCHEDULE_ZB_H_H

#include "schedule/schedule.h"

/* Fills stage i: `ahead` forwards, then forward and backward in turn, each weight gradient put off as long as
 * no more than `delayed` of them are outstanding. */
void yki_schedule_add_zb_stage(yoke_schedule *schedule, int stage, int ahead, int delayed);

#endif
