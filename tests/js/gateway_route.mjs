// node gateway_route.mjs < DOCUMENT: whether an HTTPRoute, as JSON, has the published schema.

import { readFileSync } from "node:fs";
import { HTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";

new HTTPRoute(JSON.parse(readFileSync(0, "utf8"))).validate();
