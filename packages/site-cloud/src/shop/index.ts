export { shopMigrations } from './migrations.js'
export { shopTemplate } from './template.js'
