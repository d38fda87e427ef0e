/* The mesh: ranks and their places along the axes of a layout. */
#ifndef YKI_PLAN_MESH_H
#define YKI_PLAN_MESH_H

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

#endif
