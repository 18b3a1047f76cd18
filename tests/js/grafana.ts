// What Grafana reads of a dashboard, as its own types say, for a dashboard that is written as JSON.

import type { Dashboard as Read } from "@grafana/schema";
import type { Options as Stat } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type {
  FieldConfig as Drawing,
  Options as TimeSeries,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

/** Values instead of the enumerations that TypeScript has for them. */
type Literal<T> = T extends string
  ? `${T}`
  : T extends number
    ? `${T}` extends `${infer Value extends number}`
      ? Value
      : number
    : T extends object
      ? { [Key in keyof T]: Literal<T[Key]> }
      : T;

/** What is left out, Grafana fills in. */
type Written<T> = T extends object ? { [Key in keyof T]?: Written<T[Key]> } : T;

export type Dashboard = Literal<Read>;

export interface Options {
  stat: Written<Literal<Stat>>;
  timeseries: Written<Literal<TimeSeries>>;
  row: Record<string, never>;
}

export interface Custom {
  stat: Record<string, never>;
  timeseries: Written<Literal<Drawing>>;
  row: Record<string, never>;
}
