/* The mesh: ranks, their places along the axes of a layout, and the groups in which they move data. */
#ifndef YKI_PLAN_MESH_H
#define YKI_PLAN_MESH_H

#include <stdbool.h>

#include "yoke/layout.h"

typedef enum yki_axis { YKI_AXIS_TP, YKI_AXIS_CP, YKI_AXIS_DP, YKI_AXIS_PP, YKI_AXIS_COUNT } yki_axis;

typedef struct yki_mesh {
    int degree[YKI_AXIS_COUNT];
    int nranks;
} yki_mesh;

yki_mesh yki_mesh_of(const yoke_layout *layout);
/* Coordinates of a rank; tp runs fastest. */
void yki_mesh_place(const yki_mesh *mesh, int rank, int place[YKI_AXIS_COUNT]);
int yki_mesh_rank(const yki_mesh *mesh, const int place[YKI_AXIS_COUNT]);

/* Ranks that differ in tp or cp see other shares of the model and its samples: each such pair of places is a
 * lane, tp fastest. What a lane runs is the same in every replica. */
int yki_mesh_lanes(const yki_mesh *mesh);
int yki_mesh_lane(const yki_mesh *mesh, const int place[YKI_AXIS_COUNT]);

/* --- groups: rows of a plan's table, which instructions name by number --- */

/* Ranks that differ in their places along one axis, and move data together: `size` places, `stride` apart, so
 * that an axis of 4 has one group of size 4 and stride 1, or two of size 2, neighbours by a stride of 1 (0 1,
 * 2 3) and every other by a stride of 2 (0 2, 1 3). A tie's members are the stages that share parameters,
 * wherever those are. Each rank is a member of one group of a row at most. */
typedef struct yki_group {
    yki_axis axis; /* what members receive is counted as this axis's */
    int size, stride;
    const bool *stages; /* of a tie, by place along the axis; NULL: size and stride say who */
} yki_group;

/* Rows that every plan has: one for each axis, by its number, and along dp zero's shards of one copy and the
 * ranks that have the same shard. Then sums along tp (yki_param_place.parts_group) and ties along pp. */
enum { YKI_GROUP_SHARDS = YKI_AXIS_COUNT, YKI_GROUP_REPLICAS, YKI_GROUP_FIRST_MADE };

/* "tp", "cp", "dp", "pp". */
extern const char *const yki_axis_names[YKI_AXIS_COUNT];

/* Which of a group's members a rank is, from 0, in the order in which reductions sum; -1: none. */
int yki_group_member(const yki_group *group, const int place[YKI_AXIS_COUNT]);
/* The rank of its group's first member, which tells groups of one row apart; -1: it is in none. */
int yki_group_first(const yki_mesh *mesh, const yki_group *group, const int place[YKI_AXIS_COUNT]);

#endif
