import { readFileSync } from "node:fs";
import { sign } from "./signer.js";

for (const line of readFileSync(0, "latin1").trim().split("\n")) {
  console.log(await sign(...line.split(" ").map((field) => Buffer.from(field, "hex").toString("utf8"))));
}
